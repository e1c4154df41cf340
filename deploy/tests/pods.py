"""Turns a rendered pod into what a container runtime is told, as a kubelet would."""

import shutil


def container(pod):
    (only,) = pod["containers"]
    return only


def arguments(one, replace):
    """Command and arguments; `replace` also fills $(NAME)."""
    words = one["command"] + one.get("args", [])
    for old, new in replace.items():
        words = [word.replace(old, new) for word in words]
    return words


def mounts(pod, secret_files, folder):
    """[(source, target, options)] of the pod's only container. Secrets become folders that hold only
    the items that are asked for, with the mode that is asked for; an emptyDir is the group's."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    found = []
    for mount in container(pod)["volumeMounts"]:
        volume = volumes[mount["name"]]
        assert "mountPropagation" not in mount, "needs a host whose mounts are shared"
        options = ["ro" if mount.get("readOnly") else "rw"]
        if "hostPath" in volume:
            source = volume["hostPath"]["path"]
        elif "emptyDir" in volume:
            source = empty(pod, volume, folder)
        else:
            source = secret(pod, volume, secret_files, folder)
        found.append((str(source), mount["mountPath"], options))
    return found


def empty(pod, volume, folder):
    target = folder / volume["name"]
    target.mkdir()
    shutil.chown(target, group=group(pod))
    target.chmod(0o2777)
    return target


def group(pod):
    return pod.get("securityContext", {}).get("fsGroup", 0)


def secret(pod, volume, secret_files, folder):
    asked = volume["secret"]
    target = folder / volume["name"]
    target.mkdir(mode=0o755)
    whole = secret_files[asked["secretName"]]
    items = asked.get("items") or [{"key": path.name, "path": path.name} for path in whole.iterdir()]
    for item in items:
        path = target / item["path"]
        shutil.copyfile(whole / item["key"], path)
        shutil.chown(path, group=group(pod))
        path.chmod(asked["defaultMode"])
    return target


def memory_bytes(quantity):
    units = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
    return int(quantity[:-2]) * units[quantity[-2:]]


def cores(quantity):
    return int(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)
