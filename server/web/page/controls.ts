/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** Controls that set a channel: a switch, a number, a word, a text or a button, depending on its description. */
import { make } from "../parts/dom.ts";
import type { ChannelDescription } from "../../channels/description.ts";
import type { ChannelView } from "../channel_view.ts";

/** The actions of a control. */
export interface Actions {
  set(value: unknown): void;
  request(value?: unknown): void;
}

/** A control on the page. */
export interface Control {
  readonly element: HTMLElement;
  /** The channel has changed. Text that the user is typing stays. */
  show(channel: ChannelView): void;
}

/** The desired value of a channel; if it was never set, the reported one. */
const wanted = ({ desired, reported }: ChannelView): unknown => desired ?? reported;

/** @returns undefined: the channel is read-only */
export function controlOf(
  name: string,
  description: ChannelDescription | undefined,
  actions: Actions,
): Control | undefined {
  switch (description?.kind) {
    case "switch":
      return switchControl(name, actions);
    case "button": {
      const button = make("button", {
        type: "button",
        textContent: "Do it",
        ariaLabel: `${name}: do it`,
      });
      button.addEventListener("click", () => actions.request(description.value));
      return { element: button, show() {} };
    }
    case "enum": {
      const options = description.values.map((value) =>
        make("option", { value, textContent: value })
      );
      const select = make("select", { ariaLabel: name }, ...options);
      select.addEventListener("change", () => actions.set(select.value));
      return {
        element: select,
        show: (channel) => void (select.value = String(wanted(channel) ?? "")),
      };
    }
    case "number": {
      const { min, max, step = "any" } = description;
      const limits = {
        ...(min !== undefined && { min: String(min) }),
        ...(max !== undefined && { max: String(max) }),
        step: String(step),
      };
      const input = make("input", { type: "number", required: true, ariaLabel: name, ...limits });
      return typed(name, input, () => actions.set(input.valueAsNumber));
    }
    case "text": {
      const input = make("input", { ariaLabel: name, autocomplete: "off" });
      return typed(name, input, () => actions.set(input.value));
    }
  }
  return undefined;
}

function switchControl(name: string, actions: Actions): Control {
  let isNumber = true;
  const button = make("button", { type: "button", role: "switch", className: "switch" });
  button.ariaLabel = name;
  button.addEventListener("click", () => {
    const on = button.ariaChecked !== "true";
    actions.set(isNumber ? Number(on) : on); // in the form that the device uses
  });
  return {
    element: button,
    show(channel) {
      const value = wanted(channel);
      isNumber = typeof (channel.reported ?? value) !== "boolean";
      button.ariaChecked = String(value === true || value === 1);
      button.textContent = button.ariaChecked === "true" ? "on" : "off";
    },
  };
}

/** A control whose text is typed, and then sent. */
function typed(name: string, input: HTMLInputElement, send: () => void): Control {
  const button = make("button", { textContent: "Set", ariaLabel: `Set ${name}` });
  const form = make("form", { className: "row" }, input, button);
  let isTyping = false;
  input.addEventListener("input", () => void (isTyping = true));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    isTyping = false;
    send();
  });
  return {
    element: form,
    show(channel) {
      if (isTyping || document.activeElement === input) return;
      const value = wanted(channel);
      input.value = value === undefined ? "" : String(value);
    },
  };
}
