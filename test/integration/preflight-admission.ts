/** Admission that matches our virtual kinds, and some that does not; nobody answers the webhook. */
export const admissionObjects = JSON.stringify({
  apiVersion: "v1",
  kind: "List",
  items: [
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: "logins.example.com" },
      webhooks: [
        {
          name: "logins.example.com",
          admissionReviewVersions: ["v1"],
          sideEffects: "None",
          failurePolicy: "Fail",
          clientConfig: { url: "https://127.0.0.1:1/" },
          rules: [
            {
              apiGroups: ["login.concierge.pinniped.dev"],
              apiVersions: ["*"],
              operations: ["CREATE"],
              resources: ["tokencredentialrequests"],
            },
          ],
        },
      ],
    },
    ...[
      { name: "every-kind", apiGroups: ["*"], resources: ["*"] },
      { name: "deployments-only", apiGroups: ["apps"], resources: ["deployments"] },
      { name: "another-kind-of-ours", apiGroups: ["login.concierge.pinniped.dev"], resources: ["others"] },
    ].map(({ name, apiGroups, resources }) => ({
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicy",
      metadata: { name },
      spec: {
        matchConstraints: {
          resourceRules: [{ apiGroups, apiVersions: ["*"], operations: ["CREATE"], resources }],
        },
        validations: [{ expression: "false" }],
      },
    })),
  ],
});
