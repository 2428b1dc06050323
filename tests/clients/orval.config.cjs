module.exports = {
  customers: {
    input: process.env.DOCUMENT,
    output: {
      target: `${process.env.CLIENTS}/orval.ts`,
      client: "fetch",
      baseUrl: { getBaseUrlFromSpecification: true },
    },
  },
};
