// Checks that each generated client has every operation of the document: node check.cjs DOCUMENT CLIENTS
"use strict";

const { readFileSync } = require("node:fs");
const { Collection } = require("postman-collection");

const [document, clients] = process.argv.slice(2);
const operations = Object.values(JSON.parse(readFileSync(document)).paths)
  .flatMap((item) => Object.values(item))
  .map((operation) => operation.operationId);

const camelCase = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const text = (name) => readFileSync(`${clients}/${name}`, "utf8");

function report(client, missing) {
  console.log(`${client}: ${operations.length - missing.length} of ${operations.length} operations`);
  if (missing.length) {
    console.error(`missing: ${missing.join(", ")}`);
    process.exitCode = 1;
  }
}

const types = text("openapi-typescript.ts");
report("openapi-typescript", operations.filter((each) => !types.includes(`operations["${each}"]`)));

const functions = text("orval.ts");
report("orval", operations.filter((each) => !functions.includes(`export const ${camelCase(each)} = async (`)));

let requests = 0;
new Collection(JSON.parse(text("postman.json"))).forEachItem(() => (requests += 1));
report("Postman", operations.slice(requests));
