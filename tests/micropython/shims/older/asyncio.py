"""asyncio for a MicroPython in WASM without it: nothing waits, and no task runs. The test calls the client itself."""


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
