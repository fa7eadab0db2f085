// Renders one dashboard with Grafana's own components. The page of render.go loads it with the
// dashboard and the results of its queries in window.input, and takes a picture when
// document.title is "rendered".
import {
  createTheme,
  dateTime,
  FieldType,
  getDisplayProcessor,
  getFieldDisplayName,
  type DataFrame,
  type Field,
  type FieldConfig,
  type GrafanaTheme2,
} from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import {
  BigValue,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  GlobalStyles,
  PanelChrome,
  ThemeContext,
  TimeSeries,
} from '@grafana/ui';
import React from 'react';
import { createRoot } from 'react-dom/client';
import 'uplot/dist/uPlot.min.css';

interface Series {
  name: string;
  labels: Record<string, string>;
  times: number[]; // milliseconds
  values: Array<number | null>;
}

interface Panel {
  id: number;
  type: string;
  title: string;
  description: string;
  gridPos: { x: number; y: number; w: number; h: number };
  fieldConfig: { defaults: FieldConfig };
  options: { legend?: object; colorMode?: BigValueColorMode; graphMode?: BigValueGraphMode };
  series: Series[];
}

interface Input {
  title: string;
  from: number; // milliseconds
  to: number;
  width: number; // pixels
  panels: Panel[];
}

// The grid of a dashboard: 24 columns, and rows of 30 pixels with 8 pixels between them.
const columns = 24;
const rowHeight = 30;
const gap = 8;

// What the time series panel of Grafana sets where a dashboard sets nothing.
const graphDefaults = {
  drawStyle: 'line',
  lineInterpolation: 'linear',
  lineWidth: 1,
  showPoints: 'never',
  pointSize: 5,
  axisPlacement: 'auto',
  axisColorMode: 'text',
  axisBorderShow: false,
  gradientMode: 'none',
  scaleDistribution: { type: 'linear' },
  hideFrom: { legend: false, tooltip: false, viz: false },
  stacking: { mode: 'none', group: 'A' },
  thresholdsStyle: { mode: 'off' },
};

function frames(panel: Panel, theme: GrafanaTheme2): DataFrame[] {
  return panel.series.map((series, index) => {
    const config: FieldConfig = {
      ...panel.fieldConfig.defaults,
      color: panel.fieldConfig.defaults.color ?? { mode: panel.type === 'stat' ? 'thresholds' : 'palette-classic' },
      custom: { ...graphDefaults, ...panel.fieldConfig.defaults.custom },
      displayNameFromDS: series.name,
    };
    const value: Field = {
      name: 'Value',
      type: FieldType.number,
      config,
      values: series.values,
      labels: series.labels,
      state: { seriesIndex: index },
    };
    value.display = getDisplayProcessor({ field: value, theme, timeZone: 'utc' });
    const time: Field = { name: 'Time', type: FieldType.time, config: {}, values: series.times };
    time.display = getDisplayProcessor({ field: time, theme, timeZone: 'utc' });
    const frame = { fields: [time, value], length: series.times.length, refId: String(index) };
    value.state!.displayName = getFieldDisplayName(value, frame);
    return frame;
  });
}

function Content({ panel, input, theme, width, height }: { panel: Panel; input: Input; theme: GrafanaTheme2; width: number; height: number }) {
  const data = frames(panel, theme);
  if (data.length === 0) {
    return <div style={{ padding: 16, color: theme.colors.text.secondary }}>no data</div>;
  }
  if (panel.type === 'stat') {
    const field = data[0].fields[1];
    const last = field.values.findLast((v: number | null) => v !== null);
    return (
      <BigValue
        theme={theme}
        width={width}
        height={height}
        value={field.display!(last)}
        sparkline={{ y: field, x: data[0].fields[0], timeRange: undefined }}
        colorMode={panel.options.colorMode ?? BigValueColorMode.Value}
        graphMode={panel.options.graphMode ?? BigValueGraphMode.None}
        justifyMode={BigValueJustifyMode.Auto}
        textMode={BigValueTextMode.Auto}
      />
    );
  }
  const range = { from: dateTime(input.from), to: dateTime(input.to) };
  return (
    <TimeSeries
      frames={data}
      structureRev={1}
      width={width}
      height={height}
      timeRange={{ ...range, raw: range }}
      timeZone="utc"
      legend={{ showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [], ...panel.options.legend } as never}
    />
  );
}

function Dashboard({ input, theme }: { input: Input; theme: GrafanaTheme2 }) {
  const column = input.width / columns;
  return (
    <>
      {input.panels.map((panel) => {
        const { x, y, w, h } = panel.gridPos;
        const width = w * column - gap;
        const height = h * (rowHeight + gap) - gap;
        const place: React.CSSProperties = { position: 'absolute', left: x * column + gap / 2, top: y * (rowHeight + gap), width, height };
        if (panel.type === 'row') {
          return (
            <h4 key={panel.id} style={{ ...place, margin: 0, lineHeight: rowHeight + 'px' }}>
              {panel.title}
            </h4>
          );
        }
        return (
          <div key={panel.id} style={place} className="panel">
            <PanelChrome title={panel.title} width={width} height={height} padding="md">
              {(innerWidth, innerHeight) => <Content panel={panel} input={input} theme={theme} width={innerWidth} height={innerHeight} />}
            </PanelChrome>
          </div>
        );
      })}
    </>
  );
}

async function main() {
  await initPluginTranslations('grafana-ui');
  const input: Input = await (await fetch('input.json')).json();
  const theme = createTheme({ colors: { mode: 'light' } });
  const bottom = Math.max(...input.panels.map((p) => p.gridPos.y + p.gridPos.h));
  const root = document.getElementById('root')!;
  Object.assign(root.style, { position: 'relative', width: input.width + 'px', height: bottom * (rowHeight + gap) + 'px' });
  Object.assign(document.body.style, { margin: '0', background: theme.colors.background.canvas, color: theme.colors.text.primary,
    fontFamily: theme.typography.fontFamily, fontSize: theme.typography.fontSize + 'px' });
  createRoot(root).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles hackNoBackdropBlur isExtensionSidebarOpen={false} />
      <Dashboard input={input} theme={theme} />
    </ThemeContext.Provider>
  );
  const wanted = input.panels.filter((p) => p.type !== 'row').length;
  const started = Date.now();
  const check = () => {
    const shown = document.querySelectorAll('.panel section').length;
    if (shown === wanted) {
      setTimeout(() => (document.title = 'rendered'), 500); // after the graphs have drawn
    } else if (Date.now() - started > 20000) {
      document.title = `failed: ${shown} of ${wanted} panels are shown`;
    } else {
      requestAnimationFrame(check);
    }
  };
  check();
}

main().catch((error) => {
  document.title = 'failed: ' + error;
});
