import { createServer } from "node:https";
import type { AddressInfo } from "node:net";

import type { KeyPairPem } from "../../src/pki/key-pair.ts";
import {
  apiGroupDiscoveryList,
  apiGroupList,
  apiGroups,
  apiResourceLists,
} from "../../src/resources/discovery.ts";
import { openApiV2, openApiV3, openApiV3Index } from "../../src/resources/openapi.ts";

/**
 * Serves the generated discovery and OpenAPI documents, without additive fields, and nothing else, so that a kube-apiserver can
 * judge them.
 */
export async function startDiscoveryServer(
  certificate: KeyPairPem,
  apiGroupSuffix: string,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const v3 = openApiV3({ apiGroupSuffix, extensions: false });
  const documents = new Map<string, unknown>([
    ["/openapi/v2", openApiV2({ apiGroupSuffix, extensions: false })],
    ["/openapi/v3", openApiV3Index(v3)],
    ...[...v3].map(([path, document]) => [`/openapi/v3/${path}`, document] as const),
    ["/apis", apiGroupList(apiGroupSuffix)],
    ...apiGroups(apiGroupSuffix).map((group) => [`/apis/${group.name}`, group] as const),
    ...apiResourceLists(apiGroupSuffix).map((list) => [`/apis/${list.groupVersion}`, list] as const),
  ]);
  const aggregated = apiGroupDiscoveryList(apiGroupSuffix, "v2");
  const server = createServer(
    { cert: certificate.certificatePem, key: certificate.privateKeyPem },
    (request, response) => {
      const { pathname } = new URL(request.url ?? "/", "https://localhost");
      const wantsAggregated = request.headers.accept?.includes("as=APIGroupDiscoveryList") ?? false;
      const body = pathname === "/apis" && wantsAggregated ? aggregated : documents.get(pathname);
      response.writeHead(body === undefined ? 404 : 200, {
        "content-type":
          body === aggregated
            ? "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            : "application/json",
      });
      response.end(JSON.stringify(body ?? {}));
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
