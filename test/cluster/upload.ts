// Runs inside the network of a node cluster: sends a body of a known length through the proxy and prints status and answer.
// Arguments: kubeconfig, path, bytes.
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { userCredential } from "./user-credential.ts";

const [file = "", path = "", bytes = "0"] = process.argv.slice(2);
const { server, tls } = userCredential(file);
const upload = request(new URL(path, server), {
  ...tls,
  agent: false,
  method: "POST",
  headers: { "content-length": bytes },
});
upload.once("response", (response) => {
  void text(response).then((answer) => console.log(`${response.statusCode} ${answer.trim()}`));
});
upload.end(Buffer.alloc(Number(bytes), "x"));
