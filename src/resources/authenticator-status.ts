import { Type } from "./type.ts";
import { conditions } from "./condition.ts";
import { stringEnum } from "./schema.ts";
import type { TypeOf } from "./schema.ts";

/** `status` of an authenticator (contract 4.1). */
export const authenticatorStatus = Type.Object(
  {
    conditions: Type.Optional(conditions),
    phase: Type.Optional(
      stringEnum(["Pending", "Ready", "Error"], {
        description: "The conditions in one word: Pending before the first look, then Ready or Error.",
        default: "Pending",
      }),
    ),
  },
  { description: "What the Concierge found out about this authenticator." },
);

/** `status` of either kind of authenticator. */
export type AuthenticatorStatus = TypeOf<typeof authenticatorStatus>;

/** The categories that only authenticators are in, besides `pinniped`. */
export const AUTHENTICATOR_CATEGORIES: readonly string[] = [
  "pinniped",
  "pinniped-authenticator",
  "pinniped-authenticators",
];

/** The group of both kinds of authenticator. */
export const AUTHENTICATION_GROUP = "authentication.concierge.pinniped.dev";
