"""Selection of PyTorch devices by name."""

from __future__ import annotations

import torch

from genomix_cli.errors import UsageError


def resolve_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    ``auto`` is the GPU if PyTorch sees one, else the CPU.

    Raises
    ------
    UsageError
        If the name is unknown or the device does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise UsageError(
            "unknown device", where="--device", expected="auto, cpu, cuda or cuda:N", found=name
        )
    if kind == "cuda" and int(index or 0) >= (count := torch.cuda.device_count()):
        raise UsageError(
            "no such GPU" if count else "no such GPU: PyTorch sees none",
            where="--device",
            expected=" or ".join(["cpu", *(f"cuda:{number}" for number in range(count))]),
            found=name,
            hint=None if count else "with a GPU, install a PyTorch built for it",
        )
    return torch.device(name)


def resolve_devices(device: str, devices: str = "") -> list[torch.device]:
    """Return the devices that share the work.

    Parameters
    ----------
    device : str
        As for :func:`resolve_device`.
    devices : str
        Number of devices (``"4"``) or indices of GPUs (``"0,2"`` or ``"3,"``); if empty, only
        `device`. On a CPU, the number is one of processes.

    Raises
    ------
    UsageError
        If a device does not exist, `devices` cannot be parsed, or `device` has an index as well.
    """
    first = resolve_device(device)
    if not devices:
        return [first]
    indices = [part for part in devices.split(",") if part]
    if devices.isdecimal():
        indices = list(map(str, range(int(devices))))
    if not indices or not all(index.isdecimal() for index in indices) or ":" in device:
        expected = "a number, or indices as in 0,2"
        raise UsageError("no devices", where="--devices", expected=expected, found=devices)
    if first.type == "cpu":
        return [first] * len(indices)
    return [resolve_device(f"cuda:{index}") for index in indices]
