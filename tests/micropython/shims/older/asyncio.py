"""asyncio for a MicroPython in WASM that has none: nobody waits, and no task runs. What drives a client calls it itself."""


class Event:
    def set(self):
        pass

    clear = set


class Lock:
    pass


class Task:
    def cancel(self):
        pass


def create_task(coroutine):
    return Task()


def sleep_ms(ms):
    raise NotImplementedError
