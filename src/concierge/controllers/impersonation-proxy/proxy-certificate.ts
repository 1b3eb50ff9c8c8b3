import type { Logger } from "../../../telemetry/log.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";
import type { ImpersonationProxyTLSSpec } from "../../../resources/credential-issuer-spec.ts";
import { parseCertificateBundle } from "../../../pki/certificate.ts";
import type { KeyPair } from "../../state/concierge-state.ts";
import type { Holder } from "../../state/holder.ts";
import { advertisedAuthority, externalSecretName, readExternalCertificate } from "./external-certificate.ts";
import { ensureOwnAuthority } from "./own-authority.ts";
import type { OwnSecret } from "./own-authority.ts";
import { ensureOwnCertificate, removeOwnCertificate } from "./own-certificate.ts";
import type { ServerNames } from "./proxy-endpoint.ts";
import type { SyncWrites } from "./sync-writes.ts";

export interface ProxyCertificateOptions {
  readonly holder: Holder<KeyPair | undefined>;
  readonly authoritySecret: OwnSecret;
  readonly servingSecret: OwnSecret;
  readonly metrics?: Pick<Metrics, "certificateLoaded"> | undefined;
  readonly log: Logger;
}

/** What one sync knows: its writes and its time in milliseconds since the epoch. */
export interface SyncMoment {
  readonly writes: SyncWrites;
  readonly now: number;
}

/**
 * Sees to the serving certificate of a proxy that runs (contract 6.6 step 7) and loads it into this replica. Answers the
 * PEM that clients are told to trust; undefined while the names are not known yet, or what the leader makes is not there.
 * A pair that is loaded stays until there is another one.
 */
export async function provideProxyCertificate(
  options: ProxyCertificateOptions,
  wanted: { readonly tls: ImpersonationProxyTLSSpec | undefined; readonly names: ServerNames | undefined },
  { writes, now }: SyncMoment,
): Promise<string | undefined> {
  const { authoritySecret, servingSecret, log } = options;
  const { tls, names } = wanted;
  if (tls !== undefined) {
    const name = externalSecretName(tls);
    if (name !== servingSecret.name) {
      await removeOwnCertificate(servingSecret, writes);
    }
    const { namespace } = servingSecret;
    const certificate = readExternalCertificate(servingSecret.view, { namespace, name });
    load(options, certificate.pair);
    return advertisedAuthority(tls, certificate);
  }
  const authority = await ensureOwnAuthority(authoritySecret, writes, now);
  if (authority === undefined) {
    return undefined;
  }
  if (names === undefined) {
    await removeOwnCertificate(servingSecret, writes);
    return undefined;
  }
  const pair = await ensureOwnCertificate(servingSecret, authority, names, { writes, now, log });
  if (pair === undefined) {
    return undefined;
  }
  load(options, pair);
  return authority.certificatePem;
}

/** Nothing serves any more (contract 6.6 step 8). The CA stays, as people's kubeconfigs hold it. */
export async function withdrawProxyCertificate(
  { holder, servingSecret, metrics }: ProxyCertificateOptions,
  { writes }: SyncMoment,
): Promise<void> {
  if (holder.current !== undefined) {
    holder.set(undefined);
    metrics?.certificateLoaded("proxy_serving", undefined);
  }
  await removeOwnCertificate(servingSecret, writes);
}

function load({ holder, metrics, log }: ProxyCertificateOptions, pair: KeyPair): void {
  const before = holder.current;
  holder.set(pair);
  if (holder.current !== before) {
    const notAfter = parseCertificateBundle(pair.certificatePem)[0]?.notAfter;
    metrics?.certificateLoaded("proxy_serving", notAfter);
    log.info("loaded the impersonation proxy's serving certificate", { notAfter: notAfter?.toISOString() });
  }
}
