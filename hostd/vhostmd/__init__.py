"""What vhostmd did, for guests that read its metrics: the same documents over the same ways, from numbers known anyway.

`documents` writes them, of the metrics in `sets` and the operator's own; `server` answers over virtio-serial channels,
`disk` keeps them in the files that guests have as disks (`diskfile` is one of them), `xenstore` puts them where Xen's
look. `programs` runs what the operator wants asked (`execution` is one run, `output` what it means), `printed` keeps
what that printed. `importing` turns a vhostmd.conf into our settings. `aside` is for what blocks, `causes` for the log.
"""
