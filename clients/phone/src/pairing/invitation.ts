// What a person brings: the link that was scanned, or six typed digits.

/** From the fragment of a scanned link. */
export interface Invitation {
  readonly secret: string;
  /** SHA-256 of the certificate as browsers show it: upper-case hexadecimal with colons. Empty where there is none. */
  readonly fingerprint: string;
}

/** What `#pair=SECRET&fp=HEX` says; null for any other fragment. */
export function invitationIn(fragment: string): Invitation | null {
  const parts = new URLSearchParams(fragment.replace(/^#/, ""));
  const secret = parts.get("pair") ?? "";
  if (!/^[\w-]{16,64}$/.test(secret)) return null;
  const fingerprint = (parts.get("fp") ?? "").replaceAll(":", "").toUpperCase();
  return { secret, fingerprint: /^[\dA-F]{64}$/.test(fingerprint) ? (fingerprint.match(/../g) ?? []).join(":") : "" };
}

/** Six digits from what was typed, full-width ones and spaces too; null when there are not six. */
export function codeIn(typed: string): string | null {
  const digits = typed.normalize("NFKC").replace(/[\s-]/g, "");
  return /^\d{6}$/.test(digits) ? digits : null;
}

/** A name to begin with, from what the browser says of itself. */
export function likelyName(userAgent: string): string {
  const found = (names: readonly (readonly [RegExp, string])[], otherwise: string) =>
    names.find(([pattern]) => pattern.test(userAgent))?.[1] ?? otherwise;
  const device = found(
    [
      [/iPhone/, "iPhone"],
      [/iPad/, "iPad"],
      [/Android.*Mobile/, "Android phone"],
      [/Android/, "Android tablet"],
      [/Macintosh/, "Mac"],
      [/Windows/, "Windows PC"],
      [/Linux|CrOS/, "Linux PC"],
    ],
    "Phone",
  );
  const browser = found(
    [
      [/Edg/, "Edge"],
      [/Firefox|FxiOS/, "Firefox"],
      [/Chrome|CriOS/, "Chrome"],
      [/Safari/, "Safari"],
    ],
    "",
  );
  return browser ? `${device} (${browser})` : device;
}
