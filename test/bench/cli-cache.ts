import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheKey } from "../../src/cli/cache/cache-key.ts";
import { createCertificateAuthority } from "../../src/pki/certificate-authority.ts";
import { createClientCertificateIssuer } from "../../src/pki/client-certificate.ts";

const LIFETIME = 3_600_000;
/** As the Concierge backdates. */
const BACKDATE = 300_000;

/** A command line for which the cache of `environment` holds a fresh credential. */
export interface CacheHit {
  readonly name: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** What the answer has to hold. */
  readonly expected: string;
}

/** Fills `folder` with a credential cache as kubeconfigs of `get kubeconfig` lead to, and tells the command lines that find it. */
export async function prepareCacheHits(folder: string): Promise<readonly CacheHit[]> {
  const now = Date.now();
  const authority = await createCertificateAuthority({
    commonName: "bench",
    notBefore: new Date(now - BACKDATE),
    notAfter: new Date(now + 2 * LIFETIME),
  });
  const issued = await createClientCertificateIssuer(authority).issue({
    username: "ada",
    groups: ["developers"],
    notBefore: new Date(now - BACKDATE),
    notAfter: new Date(now + LIFETIME),
  });
  const bundle = Buffer.from(authority.certificatePem).toString("base64");
  const concierge = (type: string): readonly string[] => [
    "--enable-concierge",
    "--concierge-api-group-suffix=pinniped.dev",
    "--concierge-authenticator-name=bench",
    `--concierge-authenticator-type=${type}`,
    "--concierge-endpoint=https://127.0.0.1:1",
    `--concierge-ca-bundle-data=${bundle}`,
  ];
  const server = "https://127.0.0.1:1";
  const cluster = { server, "certificate-authority-data": bundle, config: null };
  const token = "bench-token";
  const commands = [
    {
      name: "login static",
      args: ["login", "static", ...concierge("webhook"), `--token=${token}`],
      token,
    },
    {
      name: "login oidc",
      args: [
        ...["login", "oidc", ...concierge("jwt"), "--issuer=https://127.0.0.1:2", "--client-id=pinniped-cli"],
        "--scopes=offline_access,openid,pinniped:request-audience,username,groups",
        ...[`--ca-bundle-data=${bundle}`, "--request-audience=bench"],
      ],
    },
  ];
  const timestamp = (time: number): string => new Date(time).toISOString().replace(/\.\d+Z$/, "Z");
  const credentials = commands.map(({ args, token: keyToken }) => ({
    key: cacheKey({ args, token: keyToken, cluster }),
    creationTimestamp: timestamp(now),
    lastUsedTimestamp: timestamp(now),
    credential: {
      expirationTimestamp: timestamp(now + LIFETIME),
      clientCertificateData: issued.certificatePem,
      clientKeyData: issued.privateKeyPem,
    },
  }));
  mkdirSync(join(folder, "pinniped"), { mode: 0o700 });
  writeFileSync(
    join(folder, "pinniped", "credentials.yaml"),
    `${JSON.stringify({
      apiVersion: "config.supervisor.pinniped.dev/v1alpha1",
      kind: "CredentialCache",
      credentials,
    })}\n`,
    { mode: 0o600 },
  );
  const execInfo = JSON.stringify({
    apiVersion: "client.authentication.k8s.io/v1beta1",
    kind: "ExecCredential",
    spec: { cluster, interactive: false },
  });
  const environment = {
    PATH: process.env["PATH"] ?? "",
    HOME: folder,
    XDG_CONFIG_HOME: folder,
    KUBERNETES_EXEC_INFO: execInfo,
  };
  return commands.map(({ name, args }) => ({
    name,
    args,
    environment,
    expected: '"clientCertificateData":"-----BEGIN',
  }));
}
