"""`python -m realtime_hub` is `realtime-hub`."""

from realtime_hub.cli.main import main

main()
