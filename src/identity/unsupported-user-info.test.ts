import assert from "node:assert/strict";
import { test } from "node:test";
import type { Identity } from "./identity.ts";
import { CREDENTIAL_ID_EXTRA, unsupportedUserInfo, valueThatHttpChanges } from "./unsupported-user-info.ts";

const jane: Identity = { username: "jane", groups: ["ops"], extra: {} };
const EXTRA_TEXT = "extra may have only one key 'authentication.kubernetes.io/credential-id'";

const refusals: readonly (readonly [Partial<Identity>, string])[] = [
  [{ username: "" }, "empty username is not allowed"],
  [{ uid: "1" }, "UIDs are not supported"],
  [{ extra: { other: ["x"] } }, EXTRA_TEXT],
  [{ extra: { [CREDENTIAL_ID_EXTRA]: ["x"], other: [] } }, EXTRA_TEXT],
  [{ groups: ["ops", ""] }, "empty group is not allowed"],
  [{ username: " jane" }, "username starts or ends with a space or a tab"],
  [{ username: "jane\t" }, "username starts or ends with a space or a tab"],
  [{ groups: ["ops "] }, "group starts or ends with a space or a tab"],
  [{ username: "ja\u0000ne" }, "username contains a control character"],
  [{ groups: ["a\nb"] }, "group contains a control character"],
  [{ groups: ["a\u0085b"] }, "group contains a control character"],
  [{ username: "\ud800" }, "username is not valid UTF-8"],
  [{ extra: { [CREDENTIAL_ID_EXTRA]: ["x\u007f"] } }, "extra value contains a control character"],
];

test("what a certificate cannot carry is refused with its text (contract 2.3, S2)", () => {
  for (const [change, text] of refusals) {
    assert.equal(unsupportedUserInfo({ ...jane, ...change }), text, JSON.stringify(change));
  }
});

test("everything else passes", () => {
  for (const change of [
    {},
    { uid: "" },
    { extra: { [CREDENTIAL_ID_EXTRA]: ["JTI=1"] } },
    { username: "é 中😀, a=b/c" },
    { groups: [] },
  ]) {
    assert.equal(unsupportedUserInfo({ ...jane, ...change }), undefined);
  }
});

test("the proxy lets UIDs and extras through, their bytes are checked all the same", () => {
  assert.equal(valueThatHttpChanges({ ...jane, uid: "1", extra: { a: ["b"], c: [""] } }), undefined);
  assert.equal(valueThatHttpChanges({ ...jane, uid: "1 " }), "UID starts or ends with a space or a tab");
  assert.equal(
    valueThatHttpChanges({ ...jane, extra: { a: [" b"] } }),
    "extra value starts or ends with a space or a tab",
  );
});
