"""The sides that are measured against each other: nfsw, rclone, and a plain script. Each moves all files of a folder to a container."""
