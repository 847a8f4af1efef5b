// Keeps the screen on while somebody talks hands-free: a phone that sleeps hears nothing.

export class WakeLock {
  #isWanted = false;
  #lock: WakeLockSentinel | null = null;

  constructor() {
    // The browser takes it away whenever the page is hidden.
    document.addEventListener("visibilitychange", () => void this.#update());
  }

  hold(): void {
    this.#isWanted = true;
    void this.#update();
  }

  release(): void {
    this.#isWanted = false;
    void this.#update();
  }

  async #update(): Promise<void> {
    if (!this.#isWanted) {
      await this.#lock?.release();
      this.#lock = null;
    } else if (document.visibilityState === "visible" && (!this.#lock || this.#lock.released)) {
      // Refused with a low battery, and unknown to older browsers: then the screen goes dark as usual.
      this.#lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
    }
  }
}
