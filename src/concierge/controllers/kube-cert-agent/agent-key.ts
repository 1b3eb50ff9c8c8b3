import { LanyardError, messageOf } from "../../../errors.ts";
import { base64ErrorOffset } from "../../../go-text.ts";
import type { PodExec } from "../../../kube/exec.ts";
import type { Pod } from "../../../kube/resources.ts";
import type { KeyPair } from "../../state/concierge-state.ts";
import { AGENT_CONTAINER, AGENT_PROGRAM } from "./agent-deployment.ts";

/** Has the agent print the key pair and decodes it (contract 6.5); throws with the messages of contract 5.3. */
export async function fetchAgentKey(exec: PodExec, pod: Pod, signal: AbortSignal): Promise<KeyPair> {
  const { namespace = "", name } = pod.metadata;
  let output: Buffer;
  try {
    output = await exec({
      namespace,
      pod: name,
      container: AGENT_CONTAINER,
      command: [AGENT_PROGRAM, "print"],
      signal,
    });
  } catch (error) {
    throw failure(`could not exec into agent pod ${namespace}/${name}: ${messageOf(error)}`, error);
  }
  return decodeAgentOutput(output.toString("utf8"), `${namespace}/${name}`);
}

/** The agent's one line of JSON; no message quotes any of it. */
export function decodeAgentOutput(output: string, pod: string): KeyPair {
  const from = `from agent pod ${pod}`;
  let pair: Readonly<Record<string, unknown>>;
  try {
    const value: unknown = JSON.parse(output);
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new TypeError("not an object");
    }
    pair = value as Readonly<Record<string, unknown>>;
  } catch {
    // The parser's own message quotes what it read, which may be a key.
    throw failure(
      `failed to decode signing cert/key JSON ${from}: ${output.length} characters are not a JSON object`,
    );
  }
  const text = (key: "tls.crt" | "tls.key"): string => {
    const value = pair[key] ?? "";
    if (typeof value !== "string") {
      throw failure(`failed to decode signing cert/key JSON ${from}: ${key} is not a string`);
    }
    return value;
  };
  const decoded = (value: string, what: "cert" | "key"): string => {
    const offset = base64ErrorOffset(value);
    if (offset !== undefined) {
      throw failure(
        `failed to decode signing ${what} base64 ${from}: illegal base64 data at input byte ${offset}`,
      );
    }
    return Buffer.from(value, "base64").toString("utf8");
  };
  const [certificate, key] = [text("tls.crt"), text("tls.key")];
  return { certificatePem: decoded(certificate, "cert"), privateKeyPem: decoded(key, "key") };
}

function failure(message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: "kubeCertAgent.key", message, cause });
}
