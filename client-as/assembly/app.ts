/**
 * Everything that a device application imports. `client-as/README.md` tells how to write one. The shortest
 * application:
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
 * There is no heap and no garbage collector: state is in module variables, strings are literals. Functions that an
 * application does not use cost nothing, because they are not compiled.
 */
export * from "./board";
export * from "./channel";
export * from "./deadlines";
export * from "./debounce";
export * from "./json";
export * from "./sleep";
export * from "./status";
export * from "./text";
