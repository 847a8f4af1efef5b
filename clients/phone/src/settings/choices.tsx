// The choices that stay on this device.

import { t } from "../i18n/texts";
import { type Language, language, type Theme, theme } from "./settings";

export function LanguageChoice() {
  return (
    <label class="inline">
      <span>{t("languageLabel")}</span>
      <select
        value={language.value}
        onChange={({ currentTarget }) => {
          language.value = currentTarget.value as Language;
        }}
      >
        <option value="en">English</option>
        <option value="zh">中文</option>
      </select>
    </label>
  );
}

export function ThemeChoice() {
  return (
    <label class="inline">
      <span>{t("colours")}</span>
      <select
        value={theme.value}
        onChange={({ currentTarget }) => {
          theme.value = currentTarget.value as Theme;
        }}
      >
        <option value="system">{t("coloursSystem")}</option>
        <option value="light">{t("coloursLight")}</option>
        <option value="dark">{t("coloursDark")}</option>
      </select>
    </label>
  );
}
