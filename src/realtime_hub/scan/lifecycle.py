"""The names by which frameworks say when code begins and ends."""

from __future__ import annotations

from typing import Final

from realtime_hub.scan.vocabulary import words

EFFECTS: Final = words(
    "useEffect useLayoutEffect useInsertionEffect useFocusEffect useIsomorphicLayoutEffect "
    "useEffectOnce useMount useDeepCompareEffect useUpdateEffect useSyncExternalStore onMount "
    "$effect effect pre root readable writable derived Observable fromCallback eventChannel "
    "createSubscriber autorun customRef"
)
TEARDOWN_CALLS: Final = words(
    "onUnmounted onBeforeUnmount onDestroy onCleanup onScopeDispose onWatcherCleanup "
    "useUnmount tryOnScopeDispose tryOnUnmounted tryOnBeforeUnmount onDeactivated onDispose "
    "addTeardown registerCleanup register add_signal_handler signal onBeforeRouteLeave "
    "onAbort addCleanup addEventCleanup useOnUnmount useWillUnmount finalize "
    "takeUntilDestroyed defer push_async_callback ionViewWillLeave"
)
TEARDOWN_METHODS: Final = words(
    "ngOnDestroy componentWillUnmount disconnectedCallback dispose close onClose "
    "beforeDestroy beforeUnmount unmounted destroyed destroy deactivate onDestroy "
    "onModuleDestroy onApplicationShutdown beforeApplicationShutdown ionViewWillLeave "
    "ionViewDidLeave cancel __exit__ __aexit__ __del__ teardown"
)
LISTENING: Final = frozenset({"on", "once", "addEventListener", "addListener"})
ENDS: Final = words(
    "abort close end exit disconnect beforeunload unload pagehide beforeExit SIGINT SIGTERM "
    "finish astro:before-swap"
)
THROUGH: Final = words(
    "forEach map flatMap filter then catch finally all allSettled setTimeout untrack batch "
    "nextTick each run_until_complete gather create_task ensure_future"
)
CALLBACKS: Final = frozenset({"useCallback", "useEvent", "useEffectEvent", "useMemo", "debounce"})
