"use strict";
// Keys for what has a data-key, sounds that play in the page, and the cursor of the sound. Without this script all still works.
(() => {
  const audio = document.getElementById("audio");
  const picture = document.getElementById("picture");
  const cursor = document.getElementById("cursor");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, textarea, select, audio, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === " " && audio && !event.target.matches("button, a, summary")) {
      event.preventDefault();
      if (audio.paused) audio.play();
      else audio.pause();
      return;
    }
    for (const element of document.querySelectorAll("[data-key]")) {
      if (element.dataset.key === event.key) {
        event.preventDefault();
        if (element.matches("input")) element.focus();
        else element.click();
        return;
      }
    }
  });

  const label = document.getElementById("label");
  if (label) {
    // Enter in this field means what its own button says, not the form's first one.
    label.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        document.getElementById("is").click();
      }
    });
  }

  let playing = null;
  const sound = new Audio();
  const stop = () => {
    sound.pause();
    if (playing) playing.firstElementChild.textContent = "▶";
    playing = null;
  };
  sound.addEventListener("ended", stop);
  for (const link of document.querySelectorAll("[data-play]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const again = link === playing;
      stop();
      if (again) return;
      playing = link;
      link.firstElementChild.textContent = "■";
      sound.src = link.href;
      sound.play().catch(() => {}); // another one was asked for before it began
    });
  }

  if (audio && picture && cursor) {
    const seconds = Number(picture.dataset.seconds);
    const width = Number(picture.dataset.width);
    const show = () => {
      const x = Math.min(width, (width * audio.currentTime) / seconds);
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      if (!audio.paused) requestAnimationFrame(show);
    };
    for (const name of ["play", "seeked", "timeupdate"]) audio.addEventListener(name, show);
    picture.addEventListener("click", (event) => {
      const box = picture.getBoundingClientRect();
      const view = picture.viewBox.baseVal;
      const x = view.x + ((event.clientX - box.left) / box.width) * view.width;
      audio.currentTime = Math.max(0, Math.min(seconds, (x / width) * seconds));
      audio.play();
    });
  }
})();
