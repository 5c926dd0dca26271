// Stage: the video in full screen, or in a small window that stays on top.

/** Whether this browser can show `stage` in a small window of its own. */
export const hasSmallWindow = "documentPictureInPicture" in window;

/** Enters or leaves full screen. */
export function toggleFullScreen(stage) {
  if (document.fullscreenElement) return document.exitFullscreen();
  return stage.requestFullscreen().catch(() => {});
}

/** Brings the stage back to the page. */
export function leaveScreens() {
  if (document.fullscreenElement) document.exitFullscreen();
  window.documentPictureInPicture?.window?.close();
}

/** Moves `stage` to a small window until that is closed; `moved()` is called after each move. */
export async function toggleSmallWindow(stage, moved) {
  const { documentPictureInPicture } = window;
  if (documentPictureInPicture.window) {
    documentPictureInPicture.window.close();
    return;
  }
  const home = stage.parentElement;
  const { width, height } = stage.getBoundingClientRect();
  const small = await documentPictureInPicture.requestWindow({ width: Math.round(width / 2), height: Math.round(height / 2) });
  for (const sheet of document.querySelectorAll("link[rel=stylesheet]")) small.document.head.append(sheet.cloneNode());
  small.document.body.className = "small";
  small.document.body.append(stage);
  moved();
  small.addEventListener("pagehide", () => {
    home.prepend(stage);
    moved();
  });
}
