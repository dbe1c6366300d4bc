// A tiny OpenClaw: the commands a provider runs, and the probes and methods of its gateway. It reads the same configuration from the
// same place. With the model stand/refusing it refuses every method, with stand/crashing it ends a second after it has started, with
// stand/hopeless at once; a configuration with tools.nonsense is invalid.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const [section, command] = process.argv.slice(2);
const config = JSON.parse(readFileSync(process.env.OPENCLAW_CONFIG_PATH ?? "/home/node/.openclaw/openclaw.json"));
const model = config.agents.defaults.model.primary.replace(/^openrouter\//, "");
const answers = { "/healthz": { ok: true, status: "live" }, "/startupz": { status: "started" }, "/readyz": { ready: true, failing: [] } };

function rpc({ method }) {
  if (model === "stand/refusing") return { ok: false, error: { code: "REFUSED", message: "this agent refuses" } };
  const models = [{ id: model, provider: "openrouter", name: model, available: true }];
  return { ok: true, payload: method === "models.list" ? { models } : { ok: true, pid: process.pid } };
}

function serve() {
  const { userHeader, allowUsers } = config.gateway.auth.trustedProxy;
  const trusted = new Set(config.gateway.trustedProxies);
  createServer((request, response) => {
    let text = "";
    request.on("data", (chunk) => (text += chunk));
    request.on("end", () => {
      const proxied = trusted.has(request.socket.remoteAddress.replace("::ffff:", "")) && request.headers["x-forwarded-for"];
      const known = proxied && request.headers[userHeader] === allowUsers[0];
      const body = request.method === "POST" ? rpc(JSON.parse(text || "{}")) : (answers[request.url] ?? { error: "unknown" });
      response.writeHead(known || request.url === "/healthz" ? 200 : 403, { "content-type": "application/json" });
      response.end(JSON.stringify(known || request.url === "/healthz" ? body : { error: "proxy_attribution_required" }));
    });
  }).listen(config.gateway.port, "0.0.0.0");
  console.log(`light gateway started with ${process.env.LLM_API_KEY}`);
  process.on("SIGTERM", () => process.exit(0));
  if (model === "stand/crashing") setTimeout(() => process.exit(3), 1500);
}

if (section === "config") {
  const valid = config.tools?.nonsense === undefined;
  const issues = [{ path: "tools", message: 'Unrecognized key: "nonsense"' }];
  console.log(JSON.stringify(command === "validate" ? { valid, issues: valid ? [] : issues } : { ok: true, errors: [] }));
  process.exit(valid ? 0 : 1);
}
if (model === "stand/hopeless") {
  console.log("[openclaw] Reason: there is no hope");
  process.exit(1);
}
serve();
