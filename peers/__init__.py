"""Other projects' attention kernels, run from their own unmodified sources.

``pytorch`` and ``mlx`` turn one attention problem into the launches that their hosts would make:
kernel, arguments, function constants and grid.  ``attention`` of each chooses the kernel as the
host does.  The sources come with their wheels; nothing of them is in this repository.
"""
