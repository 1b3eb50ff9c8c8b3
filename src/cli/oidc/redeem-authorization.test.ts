import assert from "node:assert/strict";
import { test } from "node:test";
import { createTestContext } from "../http/testing/context.ts";
import type { LoginCall } from "./login-call.ts";
import type { Provider } from "./provider.ts";
import { createRedeemer } from "./redeem-authorization.ts";

test("a code that comes twice, by callback and by paste, is redeemed once", async () => {
  const bodies: string[] = [];
  const context = createTestContext();
  const call = {
    context,
    options: { clientId: "pinniped-cli" },
    signal: context.signal,
    http: {
      request: ({ body }: { body: string }) => {
        bodies.push(body);
        return Promise.resolve({
          status: 200,
          statusLine: "200 OK",
          headers: {},
          body: '{"access_token":"a"}',
        });
      },
    },
  } as unknown as LoginCall;
  const provider = { tokenEndpoint: "https://issuer.example.com/token" } as Provider;
  const redeem = createRedeemer(call, provider, { state: "s", nonce: "n", codeVerifier: "v" });
  const results = await Promise.allSettled([
    redeem("one", "uri"),
    redeem("one", "uri"),
    redeem("two", "uri"),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ["rejected", "rejected", "rejected"],
  );
  assert.deepEqual(bodies.toSorted(), [
    "code=one&code_verifier=v&grant_type=authorization_code&redirect_uri=uri",
    "code=two&code_verifier=v&grant_type=authorization_code&redirect_uri=uri",
  ]);
});
