import type { Clock } from "./platform.ts";
export class WheelEntry {
  due = Infinity;
  cancel: (() => void) | undefined;
  constructor(readonly wheel: TimerWheel, readonly run: () => void) {}
  at(time: number) {
    this.cancel?.();
    this.due = time;
    this.cancel = this.wheel.clock.after(Math.max(1, time - this.wheel.clock.now()), () => {
      this.cancel = undefined;
      this.run();
    });
  }
  clear() {
    this.cancel?.();
    this.cancel = undefined;
  }
}
export class TimerWheel {
  constructor(readonly clock: Clock, readonly tick: number) {}
  entry(run: () => void) {
    return new WheelEntry(this, run);
  }
}
