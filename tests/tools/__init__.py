"""The tool box of the tests. Its own test is `tests/test_tools.py`.

**Make images.** `image` builds an image, or an index, into an OCI layout, out of entries; `entry`
is one entry of a layer's tar, `tarbuild` writes entries as a tar, right or wrong, with `header`,
`pax` and `sparse` for their parts; `layout` is the OCI layout, `mediatype` the media types;
`busybox` is a layer that can run, `listedimages` are images whose layers list all directories;
`strategies` makes random stacks of layers, `fuzz` runs property tests for a given time, `written`
writes layers as a definition of `fixtures/images`. `estargz` makes eStargz layers, `gofields`
and `goindexes` documents with each field that podman decodes, right and wrong. `artifact` puts
artifacts into a registry.

**Serve them.** `registry` is Debian's docker-registry on loopback, `registrystorage` its files,
to be broken; `htpasswd`, `certificate` and `accesslog` give it passwords, TLS and a log to read;
`faultyproxy` stands in front of it and breaks what it is told to; `closedport` is a port where
nobody listens; `httpserver` serves a directory, `meter` also counts what was fetched; `pipe` is
a pipe that a thread fills. `rawserver`
sends any bytes at any pace. `rawskopeo` is a skopeo whose proxy speaks protocol 0.2.8.

**Releases.** `nightly` pushes nightly releases, `controller` is a release controller that fails,
stalls and lies, `releaseworld` has both and a repo with the first release. `rebase` writes
MicroShift's files as its rebase.sh does.

**Run our commands.** `importimage` runs import-image and import-storage, `importrelease` import-
release, `storecommand` image-store, `treecommit` import-tree beside `ostree commit`, all as
processes; `make` runs a target of the Makefile; `session` lists the processes of a session,
`signalled` signals a program at any moment, `process` runs any other command, `home` is an empty
home directory, `patience` says how long to wait, `told` keeps messages, `gpg` makes keyrings.
`racer` exchanges paths while a command looks into a directory, `swapper` does so in a process of
its own; `withoutopenat2` runs one to which the kernel denies openat2(2). `command` is a run of a
command under way, forked by `forkserver` or a process of its own; `forking` forks on request, for
`forkserver` and for the worker processes of `forkedworker`; `dask` runs a scheduler and workers.
`faultydisk` lets a chosen write of a command fail: `supervised` starts the command, `syscalls`
tells which file a system call is about; `faultywork` does so in a copy of a directory; `tried`
counts such faults. `loaded` tells which modules a worker process has loaded. `powercut` has the
disk of a command as a power cut leaves it, from what `loggeddisk` has noted of its writes and
flushes.

**Read the result.** `ostreerepo` calls `ostree`, `store` reads a containers-storage tree as
podman does, `snapshot` compares unpacked trees, `overlay` mounts layers, `expected` has what
other tools make of an image, `tarread` reads a tar by our reader, `tarsplit` a tar-split record
by a reader of its own, `stack` reads layers over each other in memory, `tamper` alters a store,
`chromium` looks at a page.

**Packaging.** `container` is the container image of the commands, `recipe` the recipes for CI
systems; `lacking` skips what needs a program that the system has no package of; `order` is the
order of the test files. `page` reads the blocks of a page of the documentation, `pageworld` has
what their commands find, `pagemachine` runs them in the network of `ownnetwork`.

**Other programs.** `podman` has storage of its own beside ours, `crio` is a device that runs
CRI-O, `ownstorage` writes storages as podman's driver lays them out, `umoci` unpacks, `lab` reads
the same layers by us, umoci and podman, `differences` lists where they differ on purpose;
`dockerroot` writes Docker's store, `dockerd` runs the real Docker; `osbase` is a small operating
system, `device` a sysroot that deploys it, `bootc` imports an image as bootc does; `cgroup2`
gives `podman run` a pure cgroup2, `rootless` is a user without privileges.
"""
