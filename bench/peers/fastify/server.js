// The same read and writes on Fastify with MongoDB's official driver, in a cluster of WEB_CONCURRENCY workers.
import cluster from "node:cluster";
import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

import Fastify from "fastify";
import { MongoClient, ObjectId } from "mongodb";

import { bodyOf, asInput, CUSTOMER, CUSTOMER_INPUT, merged, newDocument, normalized, update } from "./customers.js";

const TOKEN_ENTRIES = Number(process.env.TOKEN_CACHE_ENTRIES);
const MEMBERSHIP_MS = 1000 * Number(process.env.MEMBERSHIP_CACHE_SECONDS);
const MEMBERSHIP_ENTRIES = 10_000;
const KEY = createSecretKey(Buffer.from(process.env.JWT_SECRET));
const OBJECT_ID = /^[0-9a-f]{24}$/i;
const PATH = "/organizations/:organizationId/customers";
const EDITORS = new Set(["editor", "admin"]);
const DUPLICATE_KEY = 11000;

const tokens = new Map();
const members = new Map();

function remember(kept, most, key, value) {
  if (kept.size >= most) kept.delete(kept.keys().next().value);
  kept.set(key, value);
}

// Returns the claims of a token that is signed with HS256 by KEY and lives, else null.
function verified(token) {
  const parts = token.split(".");
  if (parts.length !== 3) return null;
  const given = Buffer.from(parts[2], "base64url");
  const signed = token.slice(0, parts[0].length + 1 + parts[1].length);
  const expected = createHmac("sha256", KEY).update(signed).digest();
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
  try {
    const header = JSON.parse(Buffer.from(parts[0], "base64url"));
    const claims = JSON.parse(Buffer.from(parts[1], "base64url"));
    const valid =
      header.alg === "HS256" && typeof claims.sub === "string" && claims.sub && claims.exp > Date.now() / 1000;
    return valid ? claims : null;
  } catch {
    return null;
  }
}

function subjectOf(authorization) {
  if (!authorization || authorization.slice(0, 7).toLowerCase() !== "bearer ") return null;
  const token = authorization.slice(7);
  const known = tokens.get(token);
  if (known !== undefined && known.exp > Date.now() / 1000) return known.sub;
  const claims = verified(token);
  if (claims === null) return null;
  if (TOKEN_ENTRIES) remember(tokens, TOKEN_ENTRIES, token, claims);
  return claims.sub;
}

// Returns the user's role in the organization, or null.
async function roleOf(database, userId, organizationId) {
  const key = `${userId}\n${organizationId}`;
  const known = members.get(key);
  if (known !== undefined && known.until > performance.now()) return known.role;
  const found = await database.collection("memberships").findOne({ userId, organizationId });
  if (found === null) return null;
  const until = performance.now() + MEMBERSHIP_MS;
  if (MEMBERSHIP_MS) remember(members, MEMBERSHIP_ENTRIES, key, { role: found.role, until });
  return found.role;
}

async function serve() {
  const client = await new MongoClient(process.env.MONGODB_URI, { writeConcern: { w: "majority" } }).connect();
  const database = client.db(process.env.MONGODB_DATABASE);
  const customers = database.collection("customers");
  const ajv = { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false } };
  const app = Fastify({ logger: false, ajv, routerOptions: { maxParamLength: 300 } });
  app.setErrorHandler((error, request, reply) => reply.code(error.validation ? 422 : (error.statusCode ?? 500)).send());

  // Answers 401 or 403 unless the caller may do what `allowed` says of the role.
  const guard = (allowed) => async (request, reply) => {
    const subject = subjectOf(request.headers.authorization);
    if (subject === null) return reply.code(401).header("WWW-Authenticate", "Bearer").send();
    const role = await roleOf(database, subject, request.params.organizationId);
    if (role === null || !allowed(role)) return reply.code(403).send();
  };
  const member = guard(() => true);
  const editor = guard((role) => EDITORS.has(role));

  const find = async ({ organizationId, customerId }) =>
    OBJECT_ID.test(customerId)
      ? customers.findOne({ _id: ObjectId.createFromHexString(customerId), organizationId })
      : null;
  const response = { "2xx": CUSTOMER };

  app.get(`${PATH}/:customerId`, { onRequest: member, schema: { response } }, async (request, reply) => {
    const document = await find(request.params);
    return document === null ? reply.code(404).send() : bodyOf(document);
  });

  const creating = { onRequest: editor, schema: { body: CUSTOMER_INPUT, response } };
  app.post(PATH, creating, async (request, reply) => {
    const document = newDocument(normalized(request.body), request.params.organizationId);
    try {
      await customers.insertOne(document);
    } catch (error) {
      if (error.code !== DUPLICATE_KEY) throw error;
      return reply.code(409).send();
    }
    return reply.code(201).header("Location", `${request.url}/${document._id.toHexString()}`).send(bodyOf(document));
  });

  app.patch(`${PATH}/:customerId`, { onRequest: editor, schema: { response } }, async (request, reply) => {
    for (;;) {
      const document = await find(request.params);
      if (document === null) return reply.code(404).send();
      const customer = merged(asInput(document), request.body);
      if (!request.validateInput(customer, CUSTOMER_INPUT)) return reply.code(422).send();
      try {
        const [unchanged, change] = update(document, normalized(customer));
        const written = await customers.findOneAndUpdate(unchanged, change, { returnDocument: "after" });
        if (written !== null) return bodyOf(written);
      } catch (error) {
        if (error.code !== DUPLICATE_KEY) throw error;
        return reply.code(409).send();
      }
    }
  });

  app.post(`${PATH}/batch-upsert`, { onRequest: editor }, async (request) => {
    const judged = request.body.customers.map((body) =>
      request.validateInput(body, CUSTOMER_INPUT) && body.externalId ? normalized(body) : null,
    );
    for (;;) {
      const results = await upsert(customers, request.params.organizationId, judged);
      if (results !== null) return { results };
    }
  });
  await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
}

// Stores the customers in one write; returns the results, or null if another request changed one of them meanwhile.
async function upsert(collection, organizationId, judged) {
  const ids = judged.filter((customer) => customer !== null).map((customer) => customer.externalId);
  const found = new Map();
  for await (const document of collection.find({ organizationId, externalId: { $in: ids } }))
    found.set(document.externalId, document);
  const settled = judged.map((customer) => settle(customer, found, organizationId));
  const writing = settled.filter(({ operation }) => operation !== undefined);
  const { failed, matched } = await write(collection, writing);
  const changed = writing.filter((each) => each.status === "changed" && !failed.has(each));
  if (matched !== changed.length) return null;
  return settled.map((each, index) => ({
    index,
    status: failed.has(each) ? "failed" : each.status,
    id: each.id?.toHexString(),
  }));
}

// Returns what becomes of a customer, its id, and the operation that stores it, if any.
function settle(customer, found, organizationId) {
  if (customer === null) return { status: "failed" };
  const document = found.get(customer.externalId);
  if (document === undefined) {
    const added = newDocument(customer, organizationId);
    return { status: "created", id: added._id, operation: { insertOne: { document: added } } };
  }
  if (isDeepStrictEqual(customer, asInput(document))) return { status: "unchanged", id: document._id };
  const [filter, change] = update(document, customer);
  return { status: "changed", id: document._id, operation: { updateOne: { filter, update: change } } };
}

// Writes all of it at once; returns which failed since a key is another's, and how many documents were changed.
async function write(collection, writing) {
  if (writing.length === 0) return { failed: new Set(), matched: 0 };
  try {
    const result = await collection.bulkWrite(
      writing.map(({ operation }) => operation),
      { ordered: false },
    );
    return { failed: new Set(), matched: result.matchedCount };
  } catch (error) {
    if (error.code !== DUPLICATE_KEY) throw error;
    return { failed: new Set(error.writeErrors.map(({ index }) => writing[index])), matched: error.result.matchedCount };
  }
}

if (cluster.isPrimary) {
  for (let worker = 0; worker < Number(process.env.WEB_CONCURRENCY); worker++) cluster.fork();
} else {
  await serve();
}
