let muted = false;

export function mute(value: boolean) {
  muted = value;
}

export function ring() {
  if (!muted && typeof Audio !== 'undefined') void new Audio('/ring.mp3').play();
}
