/**
 * All that a device application imports. How to write one is told in `client-as/README.md`; the
 * shortest reads
 *
 *     export * from "../assembly/core"; // an application is one module with the core
 *     import { begin, every, millis, number, QOS, send } from "../assembly/app";
 *
 *     export function onStart(): void {
 *       every(5000);
 *     }
 *
 *     export function onTick(): void {
 *       begin(11);
 *       number(millis());
 *       send(QOS);
 *     }
 *
 * There is no heap and no garbage: state is in module variables, strings are literals. What is not
 * used costs nothing, as it is not compiled.
 */
export * from "./board";
export * from "./channel";
export * from "./deadlines";
export * from "./debounce";
export * from "./json";
export * from "./sleep";
export * from "./status";
export * from "./text";
