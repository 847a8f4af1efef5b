// How to trust the daemon's certificate authority, platform by platform, and why one would.

import { standing } from "../api/session";
import { type TextName, t } from "../i18n/texts";
import { Icon } from "../shell/icons";
import { fragmentOf, go, type Route } from "../shell/route";
import { offer } from "./install_offer";

interface Platform {
  readonly title: TextName;
  readonly isThis: RegExp;
  readonly steps: readonly TextName[];
}

// Android before Chrome: both are in what Chrome says of itself there.
const PLATFORMS: readonly Platform[] = [
  {
    title: "installIos",
    isThis: /iPhone|iPad/,
    steps: ["installIos1", "installIos2", "installIos3", "installIos4"],
  },
  {
    title: "installAndroid",
    isThis: /Android/,
    steps: ["installAndroid1", "installAndroid2", "installAndroid3", "installAndroid4"],
  },
  { title: "installFirefox", isThis: /Firefox/, steps: ["installFirefox1", "installFirefox2", "installFirefox3"] },
  { title: "installChrome", isThis: /Chrome/, steps: ["installChrome1", "installChrome2", "installChrome3"] },
];

export function InstallPage() {
  const own = PLATFORMS.find(({ isThis }) => isThis.test(navigator.userAgent));
  const back: Route = standing.value === "paired" ? { page: "device" } : { page: "chat", conversationId: "" };
  return (
    <main class="page">
      <p>
        <a
          class="back"
          href={fragmentOf(back)}
          onClick={(event) => {
            event.preventDefault();
            go(back);
          }}
        >
          <Icon name="back" />
          {t("back")}
        </a>
      </p>
      <h1>{t("installTitle")}</h1>
      <p>{t("installWhy")}</p>
      <p class="tools">
        <a class="button primary" href="/ca.crt" download="edged-ca.crt">
          {t("installCa")}
        </a>
        {offer.value && (
          <button type="button" class="primary" onClick={() => void offer.value?.prompt()}>
            {t("installNow")}
          </button>
        )}
      </p>
      {PLATFORMS.map((platform) => (
        <details key={platform.title} open={platform === own}>
          <summary>{t(platform.title)}</summary>
          <ol>
            {platform.steps.map((step) => (
              <li key={step}>{t(step)}</li>
            ))}
          </ol>
        </details>
      ))}
    </main>
  );
}
