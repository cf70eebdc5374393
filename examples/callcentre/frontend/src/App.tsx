import { useEffect, useReducer } from 'react';
import { ActiveCallDetail } from './components/ActiveCallDetail';
import { ActiveCallsWidget } from './components/ActiveCallsWidget';
import { ConversationsWidget } from './components/ConversationsWidget';
import { LiveChat } from './components/LiveChat';
import { LiveMonitor } from './components/LiveMonitor';
import { NewProspectsWidget } from './components/NewProspectsWidget';
import { ProspectsManager } from './components/ProspectsManager';
import { SystemNotices } from './components/SystemNotices';
import type { Agent } from './services/permissions';
import { liveActivity } from './stores/liveActivity';

export function App({ agent }: { agent: Agent }) {
  const [, redraw] = useReducer((count: number) => count + 1, 0);

  useEffect(() => {
    liveActivity.start();
    const forget = liveActivity.onChange(redraw);
    return () => {
      forget();
      liveActivity.stop();
    };
  }, []);

  return (
    <main>
      <h1>{liveActivity.calls.size} llamadas</h1>
      <LiveMonitor />
      <ActiveCallsWidget agent={agent} />
      <ActiveCallDetail callId={1} />
      <NewProspectsWidget />
      <ProspectsManager agent={agent} />
      <ConversationsWidget />
      <LiveChat prospectId={1} />
      <SystemNotices />
    </main>
  );
}
