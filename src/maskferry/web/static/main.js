// The page begins here: the token, the run, the news, and the rooms.
import { connection, takeToken } from "./api.js";
import { sendDraftsHere } from "./drafts.js";
import { takeDroppedFiles } from "./dropping.js";
import { fetchAhead, show, wantFull } from "./film/frames.js";
import { fetchMasks } from "./film/masks.js";
import { Stage } from "./film/stage.js";
import { fitView, view } from "./film/view.js";
import { listenToKeys } from "./keys.js";
import { listen } from "./live.js";
import { followTool } from "./painting.js";
import { keepPlaying } from "./playing.js";
import { readQueue, readRun, takeNews } from "./refresh.js";
import { frame, locked, queue, run, selected, startProblem, tool } from "./state.js";
import { sayProblem } from "./state.js";
import { makeQueue } from "./acts.js";
import { Banners, Messages } from "./ui/banners.js";
import { Bar } from "./ui/bar.js";
import { Dialogs } from "./ui/dialogs.js";
import { Lanes } from "./ui/lanes.js";
import { Objects } from "./ui/objects.js";
import { Queue } from "./ui/queue.js";
import { Toolbar, UnderFilm } from "./ui/toolbar.js";
import { Transport } from "./ui/transport.js";
import { effect, html, render, untracked } from "./vendor/preact.js";

function Page() {
  if (!run.value) return html`<${Beginning} />`;
  return html`<${Bar} />
    <${Banners} />
    <main>
      <${Queue} />
      <section class="middle" aria-label="Film">
        <div class="film-row"><${Toolbar} /><${Stage} /></div>
        <${UnderFilm} />
        <${Transport} />
      </section>
      <${Objects} />
    </main>
    <${Lanes} />
    <${Dialogs} />
    <${Messages} />`;
}

function Beginning() {
  const isRefused = connection.value === "refused";
  const text = isRefused
    ? "This page needs the address that maskferry open printed, with its token."
    : (startProblem.value?.message ?? "loading…");
  return html`<main class="beginning">
    <h1>maskferry</h1>
    <p role="status">${text}</p>
    ${startProblem.value && !isRefused && html`<button type="button" onClick=${readRun}>Try again</button>`}
  </main>`;
}

function follow() {
  effect(() => {
    frame.value;
    untracked(() => {
      show();
      fetchAhead();
      fetchMasks();
    });
  });
  effect(() => {
    [tool, selected, frame, locked].map((part) => part.value);
    untracked(() => followTool().catch(sayProblem));
  });
  effect(() => wantFull(tool.value !== "select" || view.value.scale > 1));
  effect(() => {
    document.title = run.value ? `${run.value.video.name}, frame ${frame.value} - maskferry` : "maskferry";
  });
}

async function begin() {
  const token = takeToken();
  render(html`<${Page} />`, /** @type {HTMLElement} */ (document.getElementById("page")));
  if (!token) {
    connection.value = "refused";
    return;
  }
  await readRun();
  while (!run.value) {
    await new Promise((done) => setTimeout(done, 1000));
    if (connection.value === "refused") return;
    await readRun();
  }
  fitView();
  follow();
  keepPlaying();
  listenToKeys();
  takeDroppedFiles();
  listen(takeNews);
  await sendDraftsHere();
  await readQueue();
  if (queue.value?.state === "none" && run.value.objects.length && !run.value.read_only) await makeQueue();
}

begin();
