import { goQuote } from "../../go-text.ts";
import { isRecord, recordIn, textIn } from "./unknown-value.ts";
import { failure, visibleText } from "./visible-text.ts";
import { type JsonValue, writeYaml } from "./write-yaml.ts";
import { jsonValue } from "./written-kubeconfig.ts";

/** The cluster of the kubeconfig; `???` where nothing is known (contract cli.md 9). */
export interface ClusterSummary {
  readonly name: string;
  readonly url: string;
}

export const unknownCluster: ClusterSummary = { name: "???", url: "???" };

/**
 * What `whoami` prints of a WhoAmIRequest's answer in one of its formats (contract cli.md 9).
 *
 * @param format `text`, `yaml` or `json`
 * @throws CommandError `cli.output-format`
 */
export function whoAmIOutput(
  format: string,
  answer: unknown,
  { cluster, apiVersion }: { readonly cluster: ClusterSummary; readonly apiVersion: string },
): string {
  if (format === "text") {
    return textOutput(answer, cluster);
  }
  const object = objectOutput(answer, apiVersion);
  if (format === "json") {
    return `${safeJson(object)}\n`;
  }
  if (format === "yaml") {
    return writeYaml(object);
  }
  throw failure("cli.output-format", `could not write output: unknown output format: ${goQuote(format)}`);
}

/** Whether `whoAmIOutput` knows a format; asked before anything is called. */
export function isWhoAmIFormat(format: string): boolean {
  return ["text", "yaml", "json"].includes(format);
}

function userOf(answer: unknown): unknown {
  return recordIn(recordIn(recordIn(answer)["status"])["kubernetesUserInfo"])["user"];
}

function groupsOf(user: unknown): readonly string[] {
  const groups = recordIn(user)["groups"];
  return Array.isArray(groups) ? groups.filter((group): group is string => typeof group === "string") : [];
}

/** Names come from an identity provider: a terminal must not obey them. */
function textOutput(answer: unknown, { name, url }: ClusterSummary): string {
  const user = userOf(answer);
  return [
    "Current cluster info:",
    "",
    `Name: ${visibleText(name)}`,
    `URL: ${visibleText(url)}`,
    "",
    "Current user info:",
    "",
    `Username: ${visibleText(textIn(user, "username"))}`,
    `Groups: ${groupsOf(user).map(visibleText).join(", ")}`,
    "",
  ].join("\n");
}

/** In the order of the fields of the Go types. */
function objectOutput(answer: unknown, apiVersion: string): JsonValue {
  const info = recordIn(recordIn(recordIn(answer)["status"])["kubernetesUserInfo"]);
  const user = userOf(answer);
  const groups = groupsOf(user);
  const uid = textIn(user, "uid");
  const extra = recordIn(user)["extra"];
  const audiences = info["audiences"];
  return {
    kind: "WhoAmIRequest",
    apiVersion,
    metadata: { creationTimestamp: null },
    spec: {},
    status: {
      kubernetesUserInfo: {
        user: {
          username: textIn(user, "username"),
          ...(uid === "" ? {} : { uid }),
          ...(groups.length === 0 ? {} : { groups }),
          ...(isRecord(extra) && Object.keys(extra).length > 0 ? { extra: jsonValue(extra) } : {}),
        },
        ...(Array.isArray(audiences) && audiences.length > 0 ? { audiences: jsonValue(audiences) } : {}),
      },
    },
  };
}

/** JSON as Go indents it, with everything escaped that HTML or a terminal could take for more than text. */
function safeJson(value: JsonValue): string {
  return JSON.stringify(value, null, 2).replaceAll(/[<>&\u2028\u2029]|(?!\n)\p{C}/gu, (character) =>
    Array.from({ length: character.length }, (_, index) => character.charCodeAt(index))
      .map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`)
      .join(""),
  );
}
