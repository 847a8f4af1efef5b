// The shell stays on the device, so that the app opens without the daemon and can say that it is missing.

export function registerServiceWorker(): void {
  // Browsers refuse where the certificate was only clicked through; everything else works there all the same.
  if (import.meta.env.PROD) navigator.serviceWorker?.register("/sw.js").catch(() => undefined);
}
