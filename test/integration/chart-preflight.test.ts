import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { othersRules, requiredRules } from "../../src/concierge/preflight/required-rules.ts";
import { render } from "./chart-render.ts";
import { boundRules, configurationOf, notGranted, singleRights } from "./preflight-rules.ts";

const app = "lanyard-concierge";

describe("the rules that the start demands", () => {
  for (const profile of ["contract", "narrow"]) {
    for (const values of [
      { "kubeCertAgent.enabled": true },
      { "kubeCertAgent.enabled": false },
      { apiGroupSuffix: "login.example.com", appName: "other", "extensions.enabled": false },
    ]) {
      it(`are all granted by the chart: ${profile}, ${JSON.stringify(values)}`, async () => {
        const objects = await render("lanyard-concierge", { ...values, "rbac.profile": profile });
        const name = values.appName ?? app;
        const installation = {
          config: configurationOf(objects),
          namespace: "concierge",
          app: name,
        };
        const required = singleRights(requiredRules(installation));
        assert.ok(required.length > 40, `${required.length}`);
        assert.deepEqual(notGranted(required, boundRules(objects, name)), []);
        assert.equal(
          required.some((right) => right.includes("pods/exec")),
          values["kubeCertAgent.enabled"] !== false,
        );
        const [proxy, anonymous] = othersRules(installation);
        const proxyRights = singleRights(proxy?.rules ?? []);
        assert.equal(proxyRights.length, 3);
        assert.deepEqual(notGranted(proxyRights, boundRules(objects, `${name}-impersonation-proxy`)), []);
        const anonymousRights = singleRights(anonymous?.rules ?? []);
        assert.equal(anonymousRights.length, 2);
        assert.deepEqual(notGranted(anonymousRights, boundRules(objects, "system:unauthenticated")), []);
      });
    }
  }
});
