// Runs inside the network of a node cluster: a number of discovery requests at once, each on a connection of its own, as
// dashboards send them. Arguments: kubeconfig, number. Prints one JSON line.
import { request } from "node:https";
import { userCredential } from "./user-credential.ts";

const [file = "", count = "1"] = process.argv.slice(2);
const { server, tls } = userCredential(file);
const get = (path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    request(new URL(path, server), { ...tls, agent: false })
      .once("response", (response) => {
        response.resume().once("end", () => resolve(response.statusCode ?? 0));
      })
      .once("error", reject)
      .end();
  });
const paths = ["/api", "/apis", "/api/v1", "/apis/apps/v1", "/apis/batch/v1", "/openapi/v3"];
const started = Date.now();
const statuses = await Promise.all(
  Array.from({ length: Number(count) }, (_, index) => get(paths[index % paths.length] ?? "/api")),
);
console.log(JSON.stringify({ statuses, milliseconds: Date.now() - started }));
