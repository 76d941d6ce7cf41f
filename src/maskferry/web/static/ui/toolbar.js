// The tools at the left edge of the film, and zoom and opacity below it.
import { fitView, stageSize, view, zoomAt } from "../film/view.js";
import { brushRadius, followsObject, keepsOthers, opacity, showsOnion, tool } from "../state.js";
import { html } from "../vendor/preact.js";
import { Icon } from "./icons.js";
import { CommandButton } from "./parts.js";

const TOOLS = ["brush", "eraser", "polygon", "fill"];

/** @param {{name: string, isOn?: boolean, isDisabled?: boolean}} props */
function Tool(props) {
  return html`<${CommandButton} ...${props}><${Icon} name=${props.name} /></${CommandButton}>`;
}

export function Toolbar() {
  return html`<div class="toolbar" role="toolbar" aria-label="Tools" aria-orientation="vertical">
    ${TOOLS.map((name) => html`<${Tool} name=${name} isOn=${tool.value === name} />`)}
    <hr />
    <${Tool} name="others" isOn=${keepsOthers.value} />
    <${Tool} name="onion" isOn=${showsOnion.value} />
    <${Tool} name="follow" isOn=${followsObject.value} />
    <hr />
    <${Tool} name="apply" isDisabled=${tool.value === "select"} />
    <${Tool} name="leave" isDisabled=${tool.value === "select"} />
  </div>`;
}

/** @param {number} factor */
const zoom = (factor) => () => zoomAt(stageSize.value.width / 2, stageSize.value.height / 2, factor);

export function UnderFilm() {
  return html`<div class="under-film">
    <button type="button" aria-label="Zoom out" onClick=${zoom(1 / 1.25)}>−</button>
    <span class="zoom">${Math.round(view.value.scale * devicePixelRatio * 100)} %</span>
    <button type="button" aria-label="Zoom in" onClick=${zoom(1.25)}>+</button>
    <button type="button" onClick=${fitView}>Fit</button>
    <label>
      Opacity
      <input
        type="range"
        min="0"
        max="1"
        step="0.05"
        value=${opacity.value}
        onInput=${(/** @type {any} */ event) => (opacity.value = Number(event.target.value))}
      />
    </label>
    <label>
      Brush ${2 * brushRadius.value + 1} px
      <input
        type="range"
        min="0"
        max="100"
        value=${brushRadius.value}
        onInput=${(/** @type {any} */ event) => (brushRadius.value = Number(event.target.value))}
      />
    </label>
  </div>`;
}
