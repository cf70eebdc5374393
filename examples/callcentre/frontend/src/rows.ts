export interface Call {
  call_id: number;
  prospecto_id: number | null;
  coordinacion_id: number;
  agente_id: string | null;
  estado: 'en_cola' | 'sonando' | 'activa' | 'transferida' | 'finalizada' | 'fallida';
  duracion_s: number;
}

export interface Prospect {
  id: number;
  nombre: string;
  etapa: string;
  coordinacion_id: number;
  requiere_atencion: boolean;
}

export interface Message {
  id: number;
  conversacion_id: string;
  prospecto_id: number;
  rol: 'cliente' | 'agente' | 'bot';
  mensaje: string;
  fecha: string;
}

export interface PlannedCall {
  id: number;
  prospecto_id: number;
  programada_para: string;
  estatus: string;
}
