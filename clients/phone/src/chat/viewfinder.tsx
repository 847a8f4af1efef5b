// What the camera sees, and the button that takes the picture. The camera is on while this is open.

import { useEffect, useRef, useState } from "preact/hooks";
import { type TextName, t } from "../i18n/texts";
import { MAX_SIDE, type Picture, pictureFrom } from "./picture";

interface Props {
  readonly onPicture: (picture: Picture) => void;
  readonly onClose: () => void;
}

export function Viewfinder({ onPicture, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const [isReady, setReady] = useState(false);
  const [problem, setProblem] = useState<TextName | null>(null);
  useEffect(() => {
    dialog.current?.showModal();
    const camera = openCamera();
    camera.then(
      (stream) => {
        if (video.current) video.current.srcObject = stream;
      },
      () => setProblem("cameraMissing"),
    );
    return () => {
      camera.then(
        (stream) => {
          for (const track of stream.getTracks()) track.stop();
        },
        () => undefined,
      );
    };
  }, []);
  const take = async () => {
    if (!video.current) return;
    onPicture(await pictureFrom(video.current));
    dialog.current?.close();
  };
  return (
    <dialog ref={dialog} class="viewfinder" aria-label={t("takePicture")} onClose={onClose}>
      {problem ? (
        <p class="problem" role="alert">
          {t(problem)}
        </p>
      ) : (
        <video ref={video} autoPlay playsInline muted onCanPlay={() => setReady(true)} />
      )}
      <div class="stack">
        <button type="button" class="primary" disabled={!isReady} onClick={() => void take()}>
          {t("takePicture")}
        </button>
        <button type="button" onClick={() => dialog.current?.close()}>
          {t("cancel")}
        </button>
      </div>
    </dialog>
  );
}

async function openCamera(): Promise<MediaStream> {
  const video = { facingMode: { ideal: "environment" }, width: { ideal: MAX_SIDE } };
  return navigator.mediaDevices.getUserMedia({ video });
}
