/** Pins and the analogue input, as an application uses them. */
import { assertEquals } from "@std/assert";
import { compile } from "../support/compile.ts";
import { until } from "../support/wait.ts";
import { chipTest, plugIn } from "./support.ts";

chipTest(
  "an application writes and reads pins and the analogue input; other pins are left alone",
  async () => {
    const wasm = await compile(`
    export * from "../assembly/core";
    import {
      adc_read, begin, byte, every, gpio_read, gpio_write, number, pwm_write, show,
    } from "../assembly/app";
    export function onStart(): void {
      gpio_write(2, 0);
      gpio_write(6, 1);   // the flash's
      gpio_write(17, 1);  // there is none
      gpio_write(-1, 1);
      pwm_write(4, 512, 100);
      pwm_write(5, 5000, 1000); // as much as there is
      pwm_write(5, 1, 0);       // no frequency
      pwm_write(8, 1, 100);     // the flash's
      pwm_write(5, -1, 1000);   // as little as there is
      pwm_write(5, 1, 1001);
      gpio_write(5, 0);         // no PWM any more
      every(100);
    }
    export function onTick(): void {
      gpio_write(2, gpio_read(2) ^ 1);
      begin(40);
      number(gpio_read(0)); byte(32);
      number(gpio_read(6)); byte(32);
      number(gpio_read(99)); byte(32);
      number(adc_read());
      show();
    }
  `);
    const pins: string[] = [];
    await using board = await plugIn({
      port: 1,
      id: "1",
      application: { name: "pins", wasm },
      speed: 5,
      onPin: (pin, level) => pins.push(`${pin}=${level}`),
      onPwm: (pin, duty, hz) => pins.push(`${pin}: ${duty} of 1023, ${hz} Hz`),
    });
    const logged = (text: string) =>
      until(() => board.lines.findLast((line) => line.startsWith("app: ")) === `app: ${text}`, {
        what: () => `"${text}", after ${board.lines.at(-1)}`,
      });
    await logged("1 0 0 0");
    board.setPin(0, 0);
    board.setAnalogue(1023);
    await logged("0 0 0 1023");
    board.setPin(0, 1);
    await logged("1 0 0 1023");
    assertEquals(pins.slice(0, 8), [
      "2=0",
      "4: 512 of 1023, 100 Hz",
      "5: 1023 of 1023, 1000 Hz",
      "5: 0 of 1023, 1000 Hz",
      "5=0",
      "2=1",
      "2=0",
      "2=1",
    ]);
  },
);
