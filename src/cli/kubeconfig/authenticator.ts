import { goQuote } from "../../go-text.ts";
import { recordIn, textIn } from "./unknown-value.ts";
import { failure } from "./visible-text.ts";

export type AuthenticatorType = "jwt" | "webhook";

/** An authenticator of the cluster, as far as kubeconfigs need it. */
export interface Authenticator {
  readonly type: AuthenticatorType;
  readonly name: string;
  readonly spec: unknown;
}

/** `JWTAuthenticator` or `WebhookAuthenticator`. */
export function authenticatorKind(type: AuthenticatorType): string {
  return type === "jwt" ? "JWTAuthenticator" : "WebhookAuthenticator";
}

/**
 * `--concierge-authenticator-type`, whatever its case; nothing when it is empty.
 *
 * @throws CommandError `cli.authenticator-type`
 */
export function authenticatorType(flag: string): AuthenticatorType | undefined {
  const type = flag.toLowerCase();
  if (type === "" || type === "jwt" || type === "webhook") {
    return type === "" ? undefined : type;
  }
  throw failure(
    "cli.authenticator-type",
    `invalid authenticator type ${goQuote(flag)}, supported values are "webhook" and "jwt"`,
  );
}

/** An object of the API. */
export function authenticatorOf(type: AuthenticatorType, object: unknown): Authenticator {
  return { type, name: textIn(recordIn(object)["metadata"], "name"), spec: recordIn(object)["spec"] };
}

/**
 * The only authenticator there is, among those of the name when one was given (contract cli.md 2.4). `report` hears of each
 * when there are several.
 *
 * @throws CommandError `cli.no-authenticator`, `cli.several-authenticators`
 */
export function chooseAuthenticator(
  listed: readonly Authenticator[],
  name: string,
  report: (found: Authenticator) => void,
): Authenticator {
  const found = listed.filter((authenticator) => name === "" || authenticator.name === name);
  const [only] = found;
  if (only === undefined) {
    throw failure("cli.no-authenticator", "no authenticators were found");
  }
  if (found.length > 1) {
    for (const each of found) {
      report(each);
    }
    throw failure(
      "cli.several-authenticators",
      "multiple authenticators were found, so the --concierge-authenticator-type/--concierge-authenticator-name flags must be specified",
    );
  }
  return only;
}

/** Where `spec.tls` of a JWTAuthenticator has its CA bundle. */
export type CaSource =
  | { readonly kind: "none" }
  | { readonly kind: "inline"; readonly data: string }
  | {
      readonly kind: "object";
      readonly object: "Secret" | "ConfigMap";
      readonly name: string;
      readonly key: string;
    }
  | { readonly kind: "unsupported"; readonly object: string };

export function caSource(spec: unknown): CaSource {
  const tls = recordIn(spec)["tls"];
  const data = textIn(tls, "certificateAuthorityData");
  if (data !== "") {
    return { kind: "inline", data };
  }
  const source = recordIn(tls)["certificateAuthorityDataSource"];
  if (source === undefined || source === null) {
    return { kind: "none" };
  }
  const object = textIn(source, "kind");
  return object === "Secret" || object === "ConfigMap"
    ? { kind: "object", object, name: textIn(source, "name"), key: textIn(source, "key") }
    : { kind: "unsupported", object };
}
