# SPDX-License-Identifier: Apache-2.0
"""A disk that forgets: what may be on it after the power went, given what was written and synced before.

The recording (native/record.c) is a total order of changes. A crash *state* is made for a cut: the entries before the
cut happened. Of those

- bytes and length of a file are kept for certain up to the last fsync or fdatasync of that file;
- a name (create, rename, unlink, mkdir) is kept for certain up to the last fsync of the folder it is in. Syncing a file
  does not keep its name, syncing a folder does not keep its own name in the folder above (POSIX promises no more, whatever
  ext4 does); a rename within a folder is one step;
- everything later may be kept or not, and one file or folder may be ahead of another: see MODES. Within one file pages of
  4 KiB, or sectors of 512 bytes, reach the disk in any order; what was not written but lies below a new length reads as
  zeros, or as garbage (an old block). Within one folder each name is at some point of its own history.

One folder is spared that last freedom: in kv/ names are kept in the order in which they were changed, as ext4, XFS and Btrfs
keep them. RocksDB counts on it: when it opens, it makes tables and a MANIFEST and renames CURRENT, all before its one fsync
of the folder. (Names in different folders, and names against bytes, still go their own ways.)

What no disk does is left out: changing what was synced, or tearing a sector.
"""
import os
import struct

HEAD = struct.Struct("<IcBHHHIQQQQ")
MAGIC = 0x44524342
PAGE, SECTOR = 4096, 512
IN_ORDER = "/kv"

# name -> weight. nothing: only what was synced. all: everything. journal: names are a prefix of all changes of names, in
# order, as a journal keeps them, files on their own. mixed: each file and each name on its own.
MODES = {"nothing": 2, "all": 1, "journal": 3, "mixed": 6}


class Entry:
    __slots__ = ("op", "flags", "begin", "end", "ino", "at", "path", "path2", "data")

    def __repr__(self):
        return f"<{self.op} {self.path} {self.path2} at {self.at}, {len(self.data)} bytes>"


def read_log(path):
    """All entries; a torn last one (the process was killed while it wrote) is left out."""
    entries = []
    with open(path, "rb") as f:
        while len(head := f.read(HEAD.size)) == HEAD.size:
            e = Entry()
            magic, op, e.flags, n, n2, _, size, e.begin, e.end, e.ino, e.at = HEAD.unpack(head)
            assert magic == MAGIC, f"not a recording at {f.tell()}"
            e.op, e.path, e.path2, e.data = op.decode(), f.read(n).decode(), f.read(n2).decode(), f.read(size)
            if len(e.data) == size:
                entries.append(e)
    return entries


def apply(image, change):
    """A write, or a new length, on a bytearray."""
    at, data = change
    if data is None:
        if at < len(image):
            del image[at:]
        else:
            image.extend(bytes(at - len(image)))
        return
    if at > len(image):
        image.extend(bytes(at - len(image)))
    image[at:at + len(data)] = data


class File:
    """durable: what is kept for certain; pending: the changes since, as (at, bytes) or (length, None)."""

    def __init__(self, number, content=b""):
        self.number, self.version = number, 0
        self.durable, self.pending = bytearray(content), []

    def change(self, at, data):
        self.pending.append((at, data))
        self.version += 1

    def sync(self):
        for c in self.pending:
            apply(self.durable, c)
        self.pending = []

    def image(self, n=None):
        """With the first n pending changes; all by default."""
        out = bytearray(self.durable)
        for c in self.pending[:n]:
            apply(out, c)
        return out

    def some(self, random):
        """An image that the disk may hold, and a word for how it came about."""
        if not self.pending:
            return self.durable, "synced"
        kind = random.choices(["none", "all", "prefix", "torn", "pages", "garbage"], [3, 2, 3, 4, 5, 4])[0]
        if kind == "none":
            return self.durable, kind
        if kind == "all":
            return self.image(), kind
        n = random.randrange(len(self.pending)) + 1
        if kind == "prefix":
            return self.image(n), f"{n} of {len(self.pending)} writes"
        if kind == "torn":
            return self.torn(n, random)
        if any(data is None for _, data in self.pending[:n]):
            return self.image(n), f"{n} of {len(self.pending)} writes"
        return self.scattered(n, kind == "garbage", random)

    def torn(self, n, random):
        """The last write ends at a sector in its middle."""
        image, (at, data) = self.image(n - 1), self.pending[n - 1]
        if data is None or len(data) < 2:
            return self.image(n), f"{n} of {len(self.pending)} writes"
        end = random.randrange(at + 1, at + len(data))
        end = max(at, end - end % SECTOR) if random.random() < 0.9 or (at + len(data)) // SECTOR == at // SECTOR else end
        if end > at:
            apply(image, (at, data[:end - at]))
        return image, f"{n} of {len(self.pending)} writes, the last torn at {end}"

    def scattered(self, n, garbage, random):
        """Of what n writes changed, some pages or sectors; the rest is as it was, or zeros or garbage where nothing was."""
        old, new = self.durable, self.image(n)
        step, keep = random.choice([PAGE, PAGE, SECTOR]), random.choice([0.0, 0.3, 0.5, 0.8])
        dirty = sorted({p for at, data in self.pending[:n] for p in range(at // step, (at + len(data) - 1) // step + 1)})
        kept = {p for p in dirty if random.random() < keep}
        last = max(kept, default=-1)
        length = len(new)
        if random.random() < 0.4:
            length = max(len(old), min(length, (last + 1) * step))
        image = bytearray(new[:length])
        for p in dirty:
            begin, end = p * step, min((p + 1) * step, length)
            if p in kept or begin >= length:
                continue
            there = min(max(begin, len(old)), end)
            image[begin:there] = old[begin:there]
            image[there:end] = random.randbytes(end - there) if garbage else bytes(end - there)
        return image, f"{len(kept)} of {len(dirty)} {'sectors' if step == SECTOR else 'pages'}, " \
                      f"{'garbage' if garbage else 'zeros'} for the rest, length {length} of {len(new)}"


class Folder:
    """names: as the process sees them; durable: as the last sync left them; pending: changes since, as (place among all
    changes, {name: node or None})."""

    def __init__(self, names=None):
        self.names, self.durable, self.pending = dict(names or {}), dict(names or {}), []

    def change(self, place, changes):
        self.pending.append((place, changes))
        put(self.names, changes)

    def sync(self):
        for _, changes in self.pending:
            put(self.durable, changes)
        self.pending = []


def put(names, changes):
    for name, node in changes.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Disk:
    """The files below one folder, entry by entry."""

    def __init__(self, base=None):
        self.root, self.files, self.count, self.places = Folder(), {}, 0, 0
        if base:
            self.root = self.load(base)

    def load(self, path):
        """What is there before the first entry counts as synced."""
        names = {}
        for d in os.scandir(path):
            if d.is_dir(follow_symlinks=False):
                names[d.name] = self.load(d.path)
            else:
                with open(d.path, "rb") as f:
                    names[d.name] = self.new_file(d.inode(), f.read())
        return Folder(names)

    def new_file(self, ino, content=b""):
        self.count += 1
        self.files[ino] = f = File(self.count, content)
        return f

    def folder(self, path):
        at = self.root
        for name in path.split("/") if path else []:
            at = at.names[name]
        return at

    def name(self, path, changes):
        """changes: of names in the folder that holds path."""
        self.places += 1
        self.folder(os.path.dirname(path)).change(self.places, changes)

    def step(self, e):
        base = os.path.basename(e.path)
        if e.op == "w":
            self.files[e.ino].change(e.at, e.data)
        elif e.op == "t":
            self.files[e.ino].change(e.at, None)
        elif e.op == "s":
            self.files[e.ino].sync()
        elif e.op == "d":
            self.folder(e.path).sync()
        elif e.op == "c":
            self.name(e.path, {base: self.new_file(e.ino)})
        elif e.op == "m":
            self.name(e.path, {base: Folder()})
        elif e.op in "ux":
            self.name(e.path, {base: None})
        elif e.op == "r":
            assert os.path.dirname(e.path) == os.path.dirname(e.path2), f"a rename across folders: {e}"
            node = self.folder(os.path.dirname(e.path)).names[base]
            self.name(e.path, {base: None, os.path.basename(e.path2): node})
        else:
            assert e.op == "S", f"not to be modelled: {e}"

    # -- states -----------------------------------------------------------------
    def state(self, random, told):
        """A tree {name: tree, or (file, image or None)} that the disk may hold; image None: all of the file. `told` takes
        words for what is not simply as it was."""
        mode = random.choices(list(MODES), list(MODES.values()))[0]
        told.append(mode)
        limit = random.randint(0, self.places) if mode == "journal" and random.random() < 0.5 else \
            self.places - int(random.expovariate(0.2)) if mode == "journal" else None
        return self.tree(self.root, "", mode, limit, random, told)

    def tree(self, folder, path, mode, limit, random, told):
        names = dict(folder.durable)
        if mode == "all":
            names = folder.names
        elif mode == "journal":
            for place, changes in folder.pending:
                if place <= limit:
                    put(names, changes)
        elif mode == "mixed":
            some_names(folder, names, random, path, told)
        out = {}
        for name, node in names.items():
            at = f"{path}/{name}" if path else name
            if isinstance(node, Folder):
                out[name] = self.tree(node, at, mode, limit, random, told)
            elif mode == "nothing":
                out[name] = node, bytes(node.durable) if node.pending else None
            elif mode == "all" or not node.pending:
                out[name] = node, None
            else:
                image, how = node.some(random)
                told.append(f"{at}: {how}")
                out[name] = node, bytes(image)
        return out


def some_names(folder, names, random, path, told):
    """Each name goes along its own history, and stops somewhere; a rename only goes on with both."""
    keep, stopped, left_out = random.choice([0.2, 0.5, 0.9]), set(), 0
    n = random.randint(0, len(folder.pending)) if path.endswith(IN_ORDER) else None
    for i, (_, changes) in enumerate(folder.pending):
        if n is not None:
            put(names, changes if i < n else {})
            left_out += i >= n
        elif stopped.isdisjoint(changes) and random.random() < keep:
            put(names, changes)
        else:
            stopped.update(changes)
            left_out += 1
    if folder.pending and left_out:
        told.append(f"{path or '.'}/: {left_out} of {len(folder.pending)} changes of names left out")
