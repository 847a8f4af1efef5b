// Which model answers.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { models } from "../api/daemon";
import type { Model } from "../gen/edged/v1/model_pb";
import { t } from "../i18n/texts";
import { model } from "../settings/settings";

/** The default one comes first; empty until the daemon has answered. */
const installed = signal<readonly Model[]>([]);

async function refresh(): Promise<void> {
  try {
    installed.value = (await models.listModels({})).models;
    // One that was removed would fail every question.
    if (!installed.value.some(({ name }) => name === model.value)) model.value = "";
  } catch {
    // The banner says so; the daemon's default answers meanwhile.
  }
}

export function ModelChoice() {
  useEffect(() => void refresh(), []);
  const [first, ...others] = installed.value;
  if (!first) return <span class="model" />;
  if (others.length === 0) return <span class="model">{first.name}</span>;
  return (
    <select
      class="model"
      aria-label={t("model")}
      value={model.value}
      onChange={({ currentTarget }) => {
        model.value = currentTarget.value;
      }}
    >
      <option value="">{t("modelDefault", { name: first.name })}</option>
      {others.map(({ name }) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}
