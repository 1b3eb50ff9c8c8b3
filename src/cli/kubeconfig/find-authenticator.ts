import { goQuote } from "../../go-text.ts";
import { messageOf } from "../../errors.ts";
import { replaceApiGroupSuffix } from "../../kube/api-group-suffix.ts";
import {
  type Authenticator,
  authenticatorKind,
  authenticatorOf,
  type AuthenticatorType,
  authenticatorType,
  caSource,
  chooseAuthenticator,
} from "./authenticator.ts";
import { countCertificates, decodeBase64 } from "./ca-bundle.ts";
import type { ClusterSearch } from "./find-credential-issuer.ts";
import { listIn, recordIn, textIn } from "./unknown-value.ts";
import { failure, visibleValues } from "./visible-text.ts";

/**
 * The authenticator of the flags, or the only one there is that fits what was given of type and name (contract cli.md 2.4).
 *
 * @throws CommandError with a text of contract cli.md 2.8, or what the cluster said
 */
export async function findAuthenticator(
  search: ClusterSearch,
  flags: { readonly type: string; readonly name: string },
): Promise<Authenticator> {
  const { api, apiGroupSuffix, deadline, log } = search;
  const group = replaceApiGroupSuffix("authentication.concierge.pinniped.dev", apiGroupSuffix);
  const request = (type: AuthenticatorType) => {
    const plural = `${authenticatorKind(type).toLowerCase()}s`;
    return {
      method: "GET",
      path: `/apis/${group}/v1alpha1/${plural}`,
      resource: `${plural}.${group}`,
    } as const;
  };
  const type = authenticatorType(flags.type);
  const { name } = flags;
  if (type !== undefined && name !== "") {
    const { path, ...rest } = request(type);
    const object = await deadline.within((signal) =>
      api.call({ ...rest, path: `${path}/${encodeURIComponent(name)}`, name }, signal),
    );
    return authenticatorOf(type, object);
  }
  const listed: Authenticator[] = [];
  for (const each of type === undefined ? (["jwt", "webhook"] as const) : [type]) {
    const items = await deadline.within(async (signal) => {
      try {
        return listIn(await api.call(request(each), signal), "items");
      } catch (error) {
        throw failure(
          "cli.authenticator-list",
          `failed to list ${authenticatorKind(each)} objects for autodiscovery: ${messageOf(error)}`,
          error,
        );
      }
    });
    listed.push(...items.map((item) => authenticatorOf(each, item)));
  }
  return chooseAuthenticator(listed, name, (found) =>
    log.info(`found ${authenticatorKind(found.type)}`, visibleValues({ name: found.name })),
  );
}

/**
 * The PEM bundle that a JWTAuthenticator trusts its issuer by; empty: the system's roots (contract cli.md 2.4).
 *
 * @throws CommandError whose text starts with `tried to autodiscover --oidc-ca-bundle, but `
 */
export async function issuerCaBundle(search: ClusterSearch, { name, spec }: Authenticator): Promise<string> {
  const { api, deadline, log } = search;
  const source = caSource(spec);
  const at = `specified by JWTAuthenticator ${name} spec.tls.certificateAuthorityDataSource`;
  const refuse = (why: string, cause?: unknown): never => {
    throw failure("cli.oidc-ca-bundle", `tried to autodiscover --oidc-ca-bundle, but ${why}`, cause);
  };
  if (source.kind === "none") {
    return "";
  }
  if (source.kind === "inline") {
    const decoded = decodeBase64(source.data);
    if ("error" in decoded) {
      return refuse(
        `JWTAuthenticator ${name} has invalid spec.tls.certificateAuthorityData: ${decoded.error}`,
      );
    }
    log.info("discovered OIDC CA bundle", visibleValues({ roots: countCertificates(decoded.text) }));
    return decoded.text;
  }
  const namespace = await conciergeNamespace(search).catch((error: unknown) =>
    refuse(
      `encountered error discovering namespace of Concierge for JWTAuthenticator ${name}: ${messageOf(error)}`,
      error,
    ),
  );
  if (source.kind === "unsupported") {
    return refuse(
      `JWTAuthenticator ${name} spec.tls.certificateAuthorityDataSource.Kind value ${goQuote(source.object)} is not supported by this CLI version`,
    );
  }
  const { object, key } = source;
  const where = `${object} ${namespace}/${source.name}`;
  const plural = `${object.toLowerCase()}s`;
  const found = await deadline
    .within((signal) =>
      api.call(
        {
          method: "GET",
          path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/${plural}/${encodeURIComponent(source.name)}`,
          resource: plural,
          name: source.name,
        },
        signal,
      ),
    )
    .catch((error: unknown) =>
      refuse(`encountered error getting ${where} ${at}: ${messageOf(error)}`, error),
    );
  const data = recordIn(recordIn(found)["data"]);
  if (!Object.hasOwn(data, key)) {
    return refuse(`key ${goQuote(key)} ${at}.key does not exist in ${where}`);
  }
  const stored = textIn(data, key);
  const pem = object === "Secret" ? Buffer.from(stored, "base64").toString("utf8") : stored;
  if (pem === "") {
    return refuse(`key ${goQuote(key)} ${at}.key exists but has empty value in ${where}`);
  }
  const roots = countCertificates(pem);
  if (roots === 0) {
    return refuse(`value at key ${goQuote(key)} ${at}.key does not contain any CA certificates in ${where}`);
  }
  log.info(
    "discovered OIDC CA bundle from JWTAuthenticator spec.tls.certificateAuthorityDataSource",
    visibleValues({
      roots,
    }),
  );
  return pem;
}

async function conciergeNamespace({ api, apiGroupSuffix, deadline, log }: ClusterSearch): Promise<string> {
  const group = replaceApiGroupSuffix("login.concierge.pinniped.dev", apiGroupSuffix);
  const list = await deadline
    .within((signal) =>
      api.call(
        {
          method: "GET",
          path: "/apis/apiregistration.k8s.io/v1/apiservices",
          resource: "apiservices.apiregistration.k8s.io",
        },
        signal,
      ),
    )
    .catch((error: unknown) => {
      throw failure("cli.apiservices", `error listing APIServices: ${messageOf(error)}`, error);
    });
  for (const item of listIn(list, "items")) {
    const spec = recordIn(item)["spec"];
    const namespace = textIn(recordIn(spec)["service"], "namespace");
    if (textIn(spec, "group") === group && namespace !== "") {
      log.info(
        "discovered Concierge namespace for API group suffix",
        visibleValues({ apiGroupSuffix, namespace }),
      );
      return namespace;
    }
  }
  throw failure(
    "cli.apiservices",
    `could not find APIService with non-empty spec.service.namespace for API group ${group}`,
  );
}
