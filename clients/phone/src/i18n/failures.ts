// A failure in words: the daemon's where it has some.

import { isUnreachable, wordsOf } from "../api/failures";
import { t } from "./texts";

export function explained(error: unknown): string {
  if (isUnreachable(error)) return t("unreachable");
  return t("failed", { reason: wordsOf(error) ?? t("noAnswer") });
}
