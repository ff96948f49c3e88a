// A stateful GitHub on loopback, until its standard input ends. In front of the emulator stands a thin layer
// for two things that the emulator lacks: the comments of a whole repository (its own route for them lies in the
// shadow of that for one issue), and two counts that GitHub's description requires of a repository.
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, port, behind, seed] = process.argv.slice(2);
const entry = join(folder, "node_modules", "emulate", "dist", "api.js");
const { createEmulator } = await import(pathToFileURL(entry).href);
const emulator = await createEmulator({ service: "github", port: Number(behind), seed: JSON.parse(seed) });

const ask = (path, { method = "GET", headers, body } = {}) =>
  fetch(`http://127.0.0.1:${behind}${path}`, { method, headers, body });

async function every(path, headers) {
  const found = [];
  for (let page = 1; ; page++) {
    const answer = await ask(`${path}${path.includes("?") ? "&" : "?"}per_page=100&page=${page}`, { headers });
    const items = await answer.json();
    found.push(...items);
    if (items.length < 100) return found;
  }
}

async function comments(root, query, headers) {
  const since = Date.parse(query.get("since") ?? "1970-01-01T00:00:00Z");
  const size = Number(query.get("per_page") ?? 30);
  const page = Number(query.get("page") ?? 1);
  const found = [];
  for (const issue of await every(`${root}/issues?state=all`, headers)) {
    if (issue.comments) found.push(...(await every(`${root}/issues/${issue.number}/comments`, headers)));
  }
  return found
    .filter((each) => Date.parse(each.updated_at) >= since)
    .sort((one, other) => Date.parse(one.updated_at) - Date.parse(other.updated_at))
    .slice((page - 1) * size, page * size);
}

createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const url = new URL(request.url, "http://localhost");
  const headers = { ...request.headers };
  for (const name of ["host", "connection", "content-length", "transfer-encoding"]) delete headers[name];
  const list = /^(\/repos\/[^/]+\/[^/]+)\/issues\/comments$/.exec(url.pathname);
  if (request.method === "GET" && list) {
    response.writeHead(200, { "content-type": "application/json; charset=utf-8" });
    return response.end(JSON.stringify(await comments(list[1], url.searchParams, headers)));
  }
  const body = parts.length ? Buffer.concat(parts) : undefined;
  const answer = await ask(request.url, { method: request.method, headers, body });
  let text = await answer.text();
  if (/^\/repos\/[^/]+\/[^/]+$/.test(url.pathname) && answer.ok) {
    text = JSON.stringify({ network_count: 0, subscribers_count: 0, ...JSON.parse(text) });
  }
  const kept = [...answer.headers].filter(([name]) => !["content-length", "content-encoding"].includes(name));
  response.writeHead(answer.status, Object.fromEntries(kept));
  response.end(text);
}).listen(Number(port), "127.0.0.1");

process.stdin.resume();
process.stdin.on("end", async () => {
  await emulator.close();
  process.exit(0);
});
