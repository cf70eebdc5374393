export interface Agent {
  id: string;
  coordinations: number[];
  supervisor: boolean;
}

export function maySee(agent: Agent, row: { coordinacion_id: number }): boolean {
  return agent.supervisor || agent.coordinations.includes(row.coordinacion_id);
}
