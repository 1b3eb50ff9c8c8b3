// Runs inside the network of a node cluster: a number of discovery requests at once, each on a connection of its own, as
// dashboards send them. Arguments: kubeconfig, number. Prints one JSON line.
import { readFileSync } from "node:fs";
import { request } from "node:https";

const [file = "", count = "1"] = process.argv.slice(2);
const config = JSON.parse(readFileSync(file, "utf8")) as {
  clusters: [{ cluster: { server: string; "certificate-authority-data": string } }];
  users: [{ user: { "client-certificate-data": string; "client-key-data": string } }];
};
const { cluster } = config.clusters[0];
const { user } = config.users[0];
const pem = (data: string): Buffer => Buffer.from(data, "base64");
const get = (path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    request(new URL(path, cluster.server), {
      agent: false,
      ca: pem(cluster["certificate-authority-data"]),
      cert: pem(user["client-certificate-data"]),
      key: pem(user["client-key-data"]),
    })
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
