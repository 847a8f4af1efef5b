import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { en } from "../src/i18n/en";
import { filled, t } from "../src/i18n/texts";
import { zh } from "../src/i18n/zh";
import { language } from "../src/settings/settings";

const names = Object.keys(en) as (keyof typeof en)[];
const holes = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort();

describe("the texts", () => {
  it("are the same ones in both languages, with the same values in them", () => {
    expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
    for (const name of names) expect(holes(zh[name]), name).toEqual(holes(en[name]));
  });

  it("are translated", () => {
    const alike = names.filter((name) => zh[name] === en[name]);
    expect(alike.sort()).toEqual(["installAndroid", "installFirefox"]);
    for (const name of names) expect(en[name]).not.toMatch(/\p{Script=Han}/u);
  });

  it("are all used", () => {
    const folder = new URL("../src", import.meta.url).pathname;
    const sources = readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((path) => /\.tsx?$/.test(path) && !/i18n\/(en|zh)\.ts$/.test(path) && !path.startsWith("gen"))
      .map((path) => readFileSync(join(folder, path), "utf8"))
      .join("\n");
    expect(names.filter((name) => !sources.includes(`"${name}"`))).toEqual([]);
  });

  it("follow the chosen language", () => {
    language.value = "zh";
    expect(t("send")).toBe("发送");
    language.value = "en";
    expect(t("send")).toBe("Send");
  });

  it("carry values as they are", () => {
    expect(filled("{a} and {b}", { a: "$&", b: 2 })).toBe("$& and 2");
    expect(filled("{missing}", {})).toBe("{missing}");
  });
});
